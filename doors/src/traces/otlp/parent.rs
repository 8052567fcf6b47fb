//! The trace that a call belongs to, as Envoy says it: `traceparent` of W3C Trace Context, level 2.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use tonic::metadata::MetadataMap;

/// The parent that a call's metadata names; none where it names none, or two, or what cannot be read: the span then begins a trace of its own.
///
/// `tracestate` is not read: nobody is called with it, and its text is the client's.
pub(super) fn of(metadata: &MetadataMap) -> Option<SpanContext> {
    let mut values = metadata.get_all("traceparent").iter();
    let parent = parse(values.next()?.to_str().ok()?)?;
    values.next().is_none().then_some(parent)
}

/// `VERSION-TRACE-PARENT-FLAGS`, lower-case hexadecimal of fixed lengths. A later version may say more after another dash (3.2.4, "Versioning").
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let version = hexadecimal(parts.next()?, 2)?;
    let trace = hexadecimal(parts.next()?, 32)?;
    let parent = u64::try_from(hexadecimal(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(hexadecimal(parts.next()?, 2)?).ok()?;
    if version == 0xff || (version == 0 && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let context = SpanContext::new(TraceId::from(trace), SpanId::from(parent), flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

fn hexadecimal(digits: &str, length: usize) -> Option<u128> {
    let well = digits.len() == length && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if well { u128::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn metadata(values: &[&str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("traceparent", value.parse().unwrap());
        }
        metadata
    }

    #[test]
    fn the_parent_is_what_traceparent_names() {
        let parent = of(&metadata(&[PARENT])).unwrap();
        assert_eq!(parent.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id().to_string(), "b7ad6b7169203331");
        assert!(parent.is_sampled() && parent.is_remote());
        assert!(!parse(&PARENT.replace("-01", "-00")).unwrap().is_sampled());
        // Flags that nobody knows yet say nothing, and a later version may say more.
        assert_eq!(parse(&PARENT.replace("-01", "-ff")).unwrap().trace_flags(), TraceFlags::SAMPLED);
        assert!(parse(&format!("01{}-more", &PARENT[2..])).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_no_parent() {
        let upper = PARENT.to_uppercase();
        let longer = format!("{PARENT}-00");
        let never = format!("ff{}", &PARENT[2..]);
        let short = "00-42-1-01";
        let signed = "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let no_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let no_parent = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        for text in ["", "-", "00", short, signed, no_trace, no_parent, &upper, &longer, &never, &PARENT[..54], &format!(" {PARENT}")] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(of(&MetadataMap::new()).is_none());
        assert!(of(&metadata(&[PARENT, PARENT])).is_none(), "two parents are none");
    }
}
