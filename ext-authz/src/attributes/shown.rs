//! A CheckRequest as far as it matters here, read where it lies: no text of it is copied, and of what nobody asks for it is only seen to that it is what it
//! should be. What is read this way is what the generated code reads; but an entry of a map must be a message, which that code does not look at.

use std::borrow::Cow;

use bulkhead_proto::wire::{Fields, Unreadable};

use super::{
    Context,
    headers::{Headers, Mapped},
    shapes::{INTERNAL_ADDRESS, METADATA, PIPE, TEXTS, TIMESTAMP, TLS_SESSION},
};

/// What Envoy shows. Of what stands there twice the last counts, and of messages what both say.
#[derive(Debug, Default)]
pub(super) struct Shown<'b> {
    /// Whether it has `attributes`.
    pub(super) is_there: bool,
    /// `attributes.request.http`
    pub(super) http: Option<Http<'b>>,
    /// `attributes.source.address.socket_address.address`
    pub(super) source: Option<&'b str>,
    /// `attributes.context_extensions`
    pub(super) context: Context<'b>,
    /// `attributes.route_metadata_context`, a message.
    pub(super) route: Cow<'b, [u8]>,
}

/// An `HttpRequest`.
#[derive(Debug, Default)]
pub(super) struct Http<'b> {
    pub(super) method: &'b str,
    pub(super) path: &'b str,
    pub(super) host: &'b str,
    pub(super) scheme: &'b str,
    pub(super) body: &'b str,
    pub(super) raw_body: &'b [u8],
    /// `header_map`
    pub(super) listed: Headers<'b>,
    /// `headers`
    pub(super) mapped: Mapped<'b>,
}

impl<'b> Shown<'b> {
    /// Reads a `CheckRequest`: 1 attributes.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(message: &'b [u8]) -> Result<Self, Unreadable> {
        let (mut shown, mut fields) = (Self::default(), Fields::of(message));
        while let Some((number, field)) = fields.take()? {
            if number == 1 {
                shown.is_there = true;
                shown.attributes(fields.message(field)?)?;
            }
        }
        Ok(shown)
    }

    /// An `AttributeContext`: 1 source, 2 destination, 4 request, 10 context_extensions, 11 metadata_context, 12 tls_session, 13 route_metadata_context.
    fn attributes(&mut self, mut fields: Fields<'b>) -> Result<(), Unreadable> {
        while let Some((number, field)) = fields.take()? {
            match number {
                1 => peer(&mut self.source, fields.message(field)?)?,
                2 => peer(&mut None, fields.message(field)?)?,
                4 => self.request(fields.message(field)?)?,
                10 => {
                    let (key, value) = entry(fields.message(field)?)?;
                    self.context.extend(key, value);
                }
                11 => METADATA.check(fields.message(field)?)?,
                12 => TLS_SESSION.check(fields.message(field)?)?,
                13 => {
                    METADATA.check(fields.message(field)?)?;
                    match self.route.is_empty() {
                        true => self.route = Cow::Borrowed(field.bytes()?),
                        // Two one after the other are one.
                        false => self.route.to_mut().extend_from_slice(field.bytes()?),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A `Request`: 1 time, 2 http.
    fn request(&mut self, mut fields: Fields<'b>) -> Result<(), Unreadable> {
        while let Some((number, field)) = fields.take()? {
            match number {
                1 => TIMESTAMP.check(fields.message(field)?)?,
                2 => self.http.get_or_insert_default().read(fields.message(field)?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'b> Http<'b> {
    /// 1 id, 2 method, 3 headers, 4 path, 5 host, 6 scheme, 7 query, 8 fragment, 9 size, 10 protocol, 11 body, 12 raw_body, 13 header_map.
    fn read(&mut self, mut fields: Fields<'b>) -> Result<(), Unreadable> {
        while let Some((number, field)) = fields.take()? {
            match number {
                2 => self.method = field.text()?,
                3 => {
                    let (name, value) = entry(fields.message(field)?)?;
                    self.mapped.insert(name, value);
                }
                4 => self.path = field.text()?,
                5 => self.host = field.text()?,
                6 => self.scheme = field.text()?,
                1 | 7 | 8 | 10 => field.text().map(drop)?,
                9 => field.number().map(drop)?,
                11 => self.body = field.text()?,
                12 => self.raw_body = field.bytes()?,
                13 => self.header_map(fields.message(field)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A `HeaderMap`: 1 headers.
    fn header_map(&mut self, mut fields: Fields<'b>) -> Result<(), Unreadable> {
        while let Some((number, field)) = fields.take()? {
            if number == 1 {
                let (name, value) = header(fields.message(field)?)?;
                self.listed.push(name, value);
            }
        }
        Ok(())
    }
}

/// A `HeaderValue`: 1 key, 2 value, 3 raw_value.
fn header<'b>(mut fields: Fields<'b>) -> Result<(&'b str, &'b [u8]), Unreadable> {
    let (mut name, mut value, mut raw) = ("", "", [].as_slice());
    while let Some((number, field)) = fields.take()? {
        match number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            3 => raw = field.bytes()?,
            _ => {}
        }
    }
    Ok((name, if raw.is_empty() { value.as_bytes() } else { raw }))
}

/// An entry of a map of texts: 1 key, 2 value.
fn entry<'b>(mut fields: Fields<'b>) -> Result<(&'b str, &'b str), Unreadable> {
    let mut entry = ("", "");
    while let Some((number, field)) = fields.take()? {
        match number {
            1 => entry.0 = field.text()?,
            2 => entry.1 = field.text()?,
            _ => {}
        }
    }
    Ok(entry)
}

/// A `Peer`: 1 address, 2 service, 3 labels, 4 principal, 5 certificate.
fn peer<'b>(known: &mut Option<&'b str>, mut fields: Fields<'b>) -> Result<(), Unreadable> {
    while let Some((number, field)) = fields.take()? {
        match number {
            1 => address(known, fields.message(field)?)?,
            3 => TEXTS.check(fields.message(field)?)?,
            2 | 4 | 5 => field.text().map(drop)?,
            _ => {}
        }
    }
    Ok(())
}

/// An `Address`, one of: 1 socket_address, 2 pipe, 3 envoy_internal_address. The last one counts.
fn address<'b>(known: &mut Option<&'b str>, mut fields: Fields<'b>) -> Result<(), Unreadable> {
    while let Some((number, field)) = fields.take()? {
        match number {
            1 => socket_address(known.get_or_insert_default(), fields.message(field)?)?,
            2 => {
                PIPE.check(fields.message(field)?)?;
                *known = None;
            }
            3 => {
                INTERNAL_ADDRESS.check(fields.message(field)?)?;
                *known = None;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A `SocketAddress`: 1 protocol, 2 address, 3 port_value, 4 named_port, 5 resolver_name, 6 ipv4_compat, 7 network_namespace_filepath.
fn socket_address<'b>(known: &mut &'b str, mut fields: Fields<'b>) -> Result<(), Unreadable> {
    while let Some((number, field)) = fields.take()? {
        match number {
            2 => *known = field.text()?,
            4 | 5 | 7 => field.text().map(drop)?,
            1 | 3 | 6 => field.number().map(drop)?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
