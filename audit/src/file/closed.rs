//! A stream that was closed because others need its descriptors: what is known of it is kept, and nothing is read to open it again where nobody touched its
//! files meanwhile. Where somebody did, it is opened as after a restart, and what is missing is noticed.

use std::io;

use super::{Files, State};
use crate::{
    folder::{Folder, How, Identity, Stand},
    head,
};

/// A stream that was closed, and how its files stood.
pub(crate) struct Closed {
    state: State,
    data: Stand,
    head: Stand,
}

impl Files {
    /// Closes the files. None: how they stand cannot be told, or must be looked at, as where somebody has cut them or made them longer under us.
    pub(crate) fn close(self) -> Option<Closed> {
        let (data, head) = (Stand::of(&self.data).ok()?, Stand::of(&self.head).ok()?);
        let as_written = data.is_long(self.state.bytes) && head.is_long(head::LENGTH as u64) && self.state.refused_from.is_none();
        as_written.then_some(Closed { state: self.state, data, head })
    }
}

impl Closed {
    /// The files as they were left. None: they are others, or not as they were left.
    ///
    /// # Errors
    /// They cannot be opened.
    pub(crate) fn reopen(self, region: &Folder) -> io::Result<Option<Files>> {
        let Self { state, data: data_left, head: head_left } = self;
        let folder = region.below(&state.names.namespace)?;
        let data = folder.stood(&state.names.current(), How::Append)?;
        let head = folder.stood(&state.names.head(), How::Write)?;
        let (Some((data, data_stands)), Some((head, head_stands))) = (data, head) else { return Ok(None) };
        let as_left = Identity::of(&folder)? == state.open.folder && data_stands == data_left && head_stands == head_left;
        Ok(as_left.then_some(Files { data, head, state }))
    }
}
