//! Reads records from any stream of bytes, checking each. No files, no folders.
//!
//! The input is untrusted: memory is bounded by one payload, and nothing here panics. Used by
//! `entry` (the archive: all or nothing) and by `recover` (the capture daemon: as far as it goes).

use std::io::{self, Read};

use ulid::Ulid;

use crate::course::Course;
use crate::error::Wrong;
use crate::format::{
    self, FILE_HEADER_BYTES, Link, RECORD_HEADER_BYTES, check_file_header, payload_length,
};
use crate::record::Record;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The stream failed.
    Io(io::Error),
    /// The bytes break the format.
    Content {
        /// Where the faulty record begins.
        offset: u64,
        /// Its number.
        record: u32,
        /// The broken rule.
        wrong: Wrong,
    },
}

impl Stop {
    /// The broken rule, if that is why.
    pub fn into_wrong(self) -> Option<Wrong> {
        match self {
            Self::Io(_) => None,
            Self::Content { wrong, .. } => Some(wrong),
        }
    }
}

/// A stream of bytes, read up to some record.
#[derive(Debug)]
pub(crate) struct Scanner<R> {
    input: R,
    /// Bytes of the header and the records read so far, all of them good.
    offset: u64,
    /// The place of the next record; `None` before the file header is read.
    link: Option<Link>,
    /// `None` before the start record is read.
    course: Option<Course>,
    /// The recording it must be, if that is known.
    expected: Option<Ulid>,
}

impl<R: Read> Scanner<R> {
    /// A scanner at the beginning of `input`, which must hold recording `expected` if that is given.
    pub fn new(input: R, expected: Option<Ulid>) -> Self {
        Self {
            input,
            offset: 0,
            link: None,
            course: None,
            expected,
        }
    }

    /// Bytes read so far that are good: the end of the last good record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The place of the next record and the course so far; `None` before the start record.
    pub fn into_state(self) -> Option<(Link, Course)> {
        Some((self.link?, self.course?))
    }

    /// The next record; `None` when the end record and nothing after it has been read.
    pub fn next(&mut self) -> Result<Option<Record>, Stop> {
        let link = match self.link {
            Some(link) => link,
            None => self.file_header()?,
        };
        self.record(link)
    }

    fn file_header(&mut self) -> Result<Link, Stop> {
        let header: [u8; FILE_HEADER_BYTES] = match self.header()? {
            Some(header) => header,
            None => {
                return Err(self.wrong(Wrong::Short {
                    missing: FILE_HEADER_BYTES as u64,
                }));
            }
        };
        check_file_header(&header).map_err(|wrong| self.wrong(wrong))?;
        let link = Link::first(&header);
        self.link = Some(link);
        self.offset = FILE_HEADER_BYTES as u64;
        Ok(link)
    }

    fn record(&mut self, mut link: Link) -> Result<Option<Record>, Stop> {
        loop {
            let Some(header) = self.header::<RECORD_HEADER_BYTES>()? else {
                return self.at_end();
            };
            if self.course.as_ref().is_some_and(Course::ended) {
                return Err(self.wrong(Wrong::AfterEnd));
            }
            let payload = self.payload(&header)?;
            let bytes = (RECORD_HEADER_BYTES + payload.len()) as u64;
            let next = link.check(&header, &payload).map_err(|w| self.wrong(w))?;
            let record = format::decode(&header, payload).map_err(|w| self.wrong(w))?;
            self.accept(record.as_ref()).map_err(|w| self.wrong(w))?;
            link = next;
            self.link = Some(link);
            self.offset += bytes;
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    fn accept(&mut self, record: Option<&Record>) -> Result<(), Wrong> {
        match (&mut self.course, record) {
            (Some(course), Some(record)) => course.accept(record),
            (Some(_), None) => Ok(()),
            (None, Some(Record::Start(start))) => {
                if self.expected.is_some_and(|id| id != start.id) {
                    return Err(Wrong::Name(start.id));
                }
                self.course = Some(Course::begin(start.clone())?);
                Ok(())
            }
            (None, _) => Err(Wrong::NoStart),
        }
    }

    fn at_end(&self) -> Result<Option<Record>, Stop> {
        match &self.course {
            Some(course) if course.ended() => Ok(None),
            _ => Err(self.wrong(Wrong::NoEnd)),
        }
    }

    /// The next `N` bytes; `None` at the end of the input.
    fn header<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Stop> {
        let mut bytes = Vec::with_capacity(N);
        self.read(N, &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let missing = (N - bytes.len()) as u64;
        match bytes.try_into() {
            Ok(header) => Ok(Some(header)),
            // Bytes after the end are that first, however few they are.
            Err(_) if self.course.as_ref().is_some_and(Course::ended) => {
                Err(self.wrong(Wrong::AfterEnd))
            }
            Err(_) => Err(self.wrong(Wrong::Short { missing })),
        }
    }

    fn payload(&mut self, header: &[u8; RECORD_HEADER_BYTES]) -> Result<Vec<u8>, Stop> {
        let length = payload_length(header).map_err(|wrong| self.wrong(wrong))?;
        let mut payload = Vec::with_capacity(length);
        self.read(length, &mut payload)?;
        if payload.len() < length {
            let missing = (length - payload.len()) as u64;
            return Err(self.wrong(Wrong::Short { missing }));
        }
        Ok(payload)
    }

    /// Appends the next `length` bytes, or as many as there are.
    fn read(&mut self, length: usize, bytes: &mut Vec<u8>) -> Result<(), Stop> {
        let mut part = self.input.by_ref().take(length as u64);
        part.read_to_end(bytes).map_err(Stop::Io)?;
        Ok(())
    }

    fn wrong(&self, wrong: Wrong) -> Stop {
        Stop::Content {
            offset: self.offset,
            record: self.link.map_or(0, |link| link.sequence),
            wrong,
        }
    }
}
