# login.sh MODE LIBRARY: two logins over an sshd that is traced in this mode; says what they print.
set -u
ssh-keygen -q -t ed25519 -N '' -f key
ssh-keygen -q -t ed25519 -N '' -f host
cp key.pub authorized
mkdir -p /run/sshd
# Below the ports that the system hands out.
port=$((20000 + RANDOM % 12000))
cat >config <<END
Port $port
ListenAddress 127.0.0.1
HostKey $PWD/host
AuthorizedKeysFile $PWD/authorized
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
END
MALLOOK_MODE=$1 LD_PRELOAD=$2 MALLOOK_PREFIX=$PWD/trace "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -e -f "$PWD/config" 2>log &
daemon=$!
login() {
    timeout 60 ssh -p "$port" -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR -o IdentitiesOnly=yes -o IdentityAgent=none -F none root@127.0.0.1 'echo hello from inside'
}
for _ in $(seq 600); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.1
done
for _ in 1 2; do echo "login $(login)"; done
kill $daemon
wait $daemon
exit 0
