//! Rows of FOCUS as Parquet: costs and quantities as decimals, moments as timestamps, everything else as text.

use std::sync::Arc;

use capsule_core::{Error, ErrorKind};
use jiff::Timestamp;
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::files::{FOCUS, Row};

/// What the cells of a column are.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// With so many digits after the point.
    Decimal(u32),
    Moment,
}

fn kind(column: &str) -> Kind {
    match column {
        "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" => Kind::Decimal(10),
        "ConsumedQuantity" | "PricingQuantity" => Kind::Decimal(3),
        "BillingPeriodEnd" | "BillingPeriodStart" | "ChargePeriodEnd" | "ChargePeriodStart" => Kind::Moment,
        _ => Kind::Text,
    }
}

/// The file. What is empty in the CSV is null here.
///
/// # Errors
/// [`ErrorKind::Invalid`] for an amount with more digits than any currency has.
pub(super) fn file(rows: &[Row]) -> Result<Vec<u8>, Error> {
    write(rows)
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("The bill cannot be written as Parquet: {error}.")))
}

fn write(rows: &[Row]) -> Result<Vec<u8>, ParquetError> {
    let field = |column: &&str| match kind(column) {
        Kind::Text => format!("OPTIONAL BYTE_ARRAY {column} (STRING);"),
        Kind::Decimal(scale) => format!("OPTIONAL FIXED_LEN_BYTE_ARRAY (16) {column} (DECIMAL(38,{scale}));"),
        Kind::Moment => format!("OPTIONAL INT64 {column} (TIMESTAMP(MILLIS,true));"),
    };
    let schema = format!("message focus {{ {} }}", FOCUS.iter().map(field).collect::<String>());
    let schema = Arc::new(parse_message_type(&schema)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::builder().build()))?;
    let mut group = writer.next_row_group()?;
    let mut columns = FOCUS.iter().enumerate();
    while let Some(mut column) = group.next_column()? {
        let (index, name) = columns.next().ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
        fill(&mut column, kind(name), rows.iter().map(|row| row[index].as_str()))?;
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn fill<'a>(
    column: &mut SerializedColumnWriter<'_>,
    kind: Kind,
    cells: impl Iterator<Item = &'a str>,
) -> Result<(), ParquetError> {
    let cells: Vec<&str> = cells.collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(!cell.is_empty())).collect();
    let known = cells.into_iter().filter(|cell| !cell.is_empty());
    let unreadable = |cell: &str| ParquetError::General(format!("`{cell}` is out of range"));
    match kind {
        Kind::Text => {
            let values: Vec<ByteArray> = known.map(ByteArray::from).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
        }
        Kind::Decimal(scale) => {
            let value = |cell: &str| Some(FixedLenByteArray::from(unscaled(cell, scale)?.to_be_bytes().to_vec()));
            let values = known.map(|cell| value(cell).ok_or_else(|| unreadable(cell)));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            column.typed::<FixedLenByteArrayType>().write_batch(&values, Some(&levels), None)?;
        }
        Kind::Moment => {
            let value = |cell: &str| cell.parse::<Timestamp>().map(Timestamp::as_millisecond);
            let values = known.map(|cell| value(cell).map_err(|_| unreadable(cell))).collect::<Result<Vec<_>, _>>()?;
            column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
        }
    }
    Ok(())
}

/// A decimal number in units of its last digit; it has `scale` of them after the point.
fn unscaled(cell: &str, scale: u32) -> Option<i128> {
    let (whole, rest) = cell.split_once('.').unwrap_or((cell, ""));
    let missing = (scale as usize).checked_sub(rest.len())?;
    format!("{whole}{rest}{}", "0".repeat(missing)).parse().ok()
}
