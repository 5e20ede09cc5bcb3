//! Kafka's old primitives, as the messages of the group use them: big-endian numbers, texts with a length of 16 bits,
//! arrays and bytes with a length of 32 bits in which a negative one stands for null.

use indexmap::IndexMap;

use super::{DecodeError, EncodeError};
use crate::api::ids::{ConnectorName, TaskId};

/// The number among those of tasks that stands for the connector itself.
const CONNECTOR_ITSELF: i32 = -1;

/// Takes fields from the front of a blob. The names of fields are for errors.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The version that a blob begins with: any that is not negative.
    pub(super) fn version(&mut self) -> Result<i16, DecodeError> {
        let version = self.int16("the version")?;
        if version < 0 { Err(DecodeError::NegativeVersion(version)) } else { Ok(version) }
    }

    pub(super) fn int16(&mut self, field: &'static str) -> Result<i16, DecodeError> {
        self.array(field).map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.array(field).map(i32::from_be_bytes)
    }

    pub(super) fn int64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        self.array(field).map(i64::from_be_bytes)
    }

    pub(super) fn string(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.int16(field)?;
        let length = usize::try_from(length).map_err(|_| DecodeError::Null(field))?;
        std::str::from_utf8(self.take(length, field)?).map_err(|_| DecodeError::NotUtf8(field))
    }

    /// Bytes that may be null. Null, too, when the blob ends before them.
    pub(super) fn bytes_or_end(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, DecodeError> {
        let length = self.int32_or_end(field, -1)?;
        usize::try_from(length).ok().map(|length| self.take(length, field)).transpose()
    }

    /// A number; `otherwise` when the blob ends before it.
    pub(super) fn int32_or_end(&mut self, field: &'static str, otherwise: i32) -> Result<i32, DecodeError> {
        if self.rest.is_empty() { Ok(otherwise) } else { self.int32(field) }
    }

    /// Connectors and tasks, each in their order. None when the array is null, or the blob ends before it.
    pub(super) fn work_or_end(
        &mut self,
        field: &'static str,
    ) -> Result<(Vec<ConnectorName>, Vec<TaskId>), DecodeError> {
        let (mut connectors, mut tasks) = (Vec::new(), Vec::new());
        // Each element takes at least six bytes of the blob, so a wrong count ends here and not in memory.
        for _ in 0..self.int32_or_end(field, -1)? {
            let connector = ConnectorName::from(self.string(field)?);
            let count = self.int32(field)?;
            if count < 0 {
                return Err(DecodeError::Null(field));
            }
            for _ in 0..count {
                let number = self.int32(field)?;
                if number == CONNECTOR_ITSELF {
                    connectors.push(connector.clone());
                    continue;
                }
                let index = u32::try_from(number)
                    .map_err(|_| DecodeError::NoTask { connector: connector.clone(), number })?;
                tasks.push(TaskId { connector: connector.clone(), index });
            }
        }
        Ok((connectors, tasks))
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::CutShort(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::CutShort(field))?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Puts fields one after another.
#[derive(Default)]
pub(super) struct Writer {
    written: Vec<u8>,
}

impl Writer {
    pub(super) fn int16(&mut self, number: i16) {
        self.written.extend(number.to_be_bytes());
    }

    pub(super) fn int32(&mut self, number: i32) {
        self.written.extend(number.to_be_bytes());
    }

    pub(super) fn int64(&mut self, number: i64) {
        self.written.extend(number.to_be_bytes());
    }

    pub(super) fn string(&mut self, field: &'static str, text: &str) -> Result<(), EncodeError> {
        let length = i16::try_from(text.len());
        self.int16(length.map_err(|_| EncodeError::TextTooLong { field, length: text.len() })?);
        self.written.extend(text.as_bytes());
        Ok(())
    }

    pub(super) fn nullable_bytes(
        &mut self,
        field: &'static str,
        bytes: Option<&[u8]>,
    ) -> Result<(), EncodeError> {
        match bytes {
            None => self.int32(-1),
            Some(bytes) => {
                self.length(field, bytes.len())?;
                self.written.extend(bytes);
            }
        }
        Ok(())
    }

    /// One element for each connector: those in `connectors` first, then those that have tasks alone.
    pub(super) fn work(
        &mut self,
        field: &'static str,
        connectors: &[ConnectorName],
        tasks: &[TaskId],
    ) -> Result<(), EncodeError> {
        let mut elements: IndexMap<&ConnectorName, Vec<i32>> =
            connectors.iter().map(|connector| (connector, vec![CONNECTOR_ITSELF])).collect();
        for task in tasks {
            let number = i32::try_from(task.index).map_err(|_| EncodeError::NoTask(task.clone()))?;
            elements.entry(&task.connector).or_default().push(number);
        }
        self.length(field, elements.len())?;
        for (connector, numbers) in elements {
            self.string(field, connector.as_str())?;
            self.length(field, numbers.len())?;
            for number in numbers {
                self.int32(number);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.written
    }

    fn length(&mut self, field: &'static str, length: usize) -> Result<(), EncodeError> {
        self.int32(i32::try_from(length).map_err(|_| EncodeError::TooMuch { field, length })?);
        Ok(())
    }
}
