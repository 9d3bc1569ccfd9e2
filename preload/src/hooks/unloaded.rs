//! Programs that are started with an environment that does not load us: `env -i`, `sudo`, a daemon
//! that cleans up. Nothing of theirs is recorded, which the trace of whoever starts them says.
//! `posix_spawn`, `system` and `popen` of libc do not come by here.

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use mallook_format::Control;

use crate::host::objects;
use crate::record::wiped::WIPED;
use crate::session::environment::Environment;

/// The environment has loaded us, and not the loader's own list (`/etc/ld.so.preload`).
static BY_ENVIRONMENT: AtomicBool = AtomicBool::new(false);

/// Looks what has loaded us. At the start of a program.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
pub fn at_start() {
    BY_ENVIRONMENT.store(loads_us(&Environment::now()), Relaxed);
}

/// Whether a program with this environment loads us: by our file's name, wherever it lies.
fn loads_us(environment: &Environment) -> bool {
    let Some(list) = environment.value(b"LD_PRELOAD") else { return false };
    let mut found = false;
    objects::for_each_object(&mut |object| {
        if !object.is_ours() {
            return ControlFlow::Continue(());
        }
        let name = object.path().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut libraries = list.split(|byte| b": ".contains(byte));
        found = libraries.any(|library| library.ends_with(name));
        ControlFlow::Break(())
    });
    found
}

/// Before a program is started with libc's environment.
pub fn look() {
    look_at(&Environment::now());
}

/// Before a program is started with this environment.
pub fn look_at(environment: &Environment) {
    if BY_ENVIRONMENT.load(Relaxed)
        && !loads_us(environment)
        && let Some(live) = WIPED.session.file.live()
    {
        live.control.fetch_or(Control::UNLOADED, Relaxed);
    }
}
