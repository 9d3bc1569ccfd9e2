//! A column of a table, and the file of the table.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

/// Rows of a group, which are in memory at once.
const ROWS: usize = 1 << 18;

/// The largest integer that every reader has.
const MOST: u64 = i64::MAX as u64;

/// The values of a column that wait for their row group.
#[derive(Debug)]
pub struct Column<T: DataType> {
    values: Vec<T::T>,
    /// 1 for each row with a value, 0 for the others; none if every row has to have one.
    levels: Option<Vec<i16>>,
}

/// A column of 32-bit numbers.
pub type Int = Column<Int32Type>;
/// A column of 64-bit numbers.
pub type Long = Column<Int64Type>;
/// A column of truth values.
pub type Flag = Column<BoolType>;
/// A column of texts.
pub type Text = Column<ByteArrayType>;

impl<T: DataType> Column<T> {
    /// A column with a value in each row.
    pub fn required() -> Column<T> {
        Column { values: Vec::new(), levels: None }
    }

    /// A column where values may be missing.
    pub fn optional() -> Column<T> {
        Column { values: Vec::new(), levels: Some(Vec::new()) }
    }

    /// Appends a row. Only an optional column may do without a value.
    pub fn push(&mut self, value: impl Into<Option<T::T>>) {
        let value = value.into();
        match &mut self.levels {
            Some(levels) => levels.push(i16::from(value.is_some())),
            None => debug_assert!(value.is_some(), "a required column"),
        }
        self.values.extend(value);
    }
}

impl Long {
    /// Appends a number without a sign; larger ones than 2^63 - 1 are that.
    pub fn push_unsigned(&mut self, value: u64) {
        self.push(value.min(MOST) as i64);
    }
}

impl Text {
    /// Appends a text.
    pub fn push_text<'a>(&mut self, text: impl Into<Option<&'a str>>) {
        self.push(text.into().map(ByteArray::from));
    }
}

/// A column whose rows are written.
pub trait Flush {
    /// Writes the rows as the next column of the group, and removes them.
    fn flush(&mut self, group: &mut SerializedRowGroupWriter<'_, File>)
    -> Result<(), ParquetError>;
}

impl<T: DataType> Flush for Column<T> {
    fn flush(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, File>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("a column that the table does not have".to_owned()));
        };
        column.typed::<T>().write_batch(&self.values, self.levels.as_deref(), None)?;
        column.close()?;
        self.values.clear();
        if let Some(levels) = &mut self.levels {
            levels.clear();
        }
        Ok(())
    }
}

/// The file of a table.
pub struct Table {
    writer: SerializedFileWriter<File>,
    rows: usize,
}

impl Table {
    /// A new file for rows of this type. Columns that are `rising` have numbers near to the ones before.
    pub fn create(path: &Path, row: &str, rising: &[&str]) -> io::Result<Table> {
        let schema = parse_message_type(row).map_err(io::Error::other)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("mallook ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(io::Error::other)?));
        for &name in rising {
            let column = ColumnPath::from(name);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        let file = File::create_new(path)?;
        let writer =
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()));
        Ok(Table { writer: writer.map_err(io::Error::other)?, rows: 0 })
    }

    /// Counts a row that was appended to all columns; `true` if they are to be [written](Self::write).
    pub fn is_full(&mut self) -> bool {
        self.rows += 1;
        self.rows >= ROWS
    }

    /// Writes the rows, as one group.
    pub fn write(&mut self, columns: &mut [&mut dyn Flush]) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let mut group = self.writer.next_row_group().map_err(io::Error::other)?;
        for column in columns {
            column.flush(&mut group).map_err(io::Error::other)?;
        }
        group.close().map_err(io::Error::other)?;
        Ok(())
    }

    /// Completes the file.
    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(io::Error::other)?;
        Ok(())
    }
}
