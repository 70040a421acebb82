//! What clients of Socket.IO 2 say in another way.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;

use crate::Str;

/// The name of a namespace, and as JSON what stands behind its `?` (B77): these clients have no `auth`. Of several fields of one
/// name the last counts.
pub(super) fn split(namespace: &Str) -> (Str, Option<Str>) {
    let Some((name, query)) = namespace.split_once('?') else { return (namespace.clone(), None) };
    let fields: BTreeMap<Cow<'_, str>, Cow<'_, str>> = form_urlencoded::parse(query.as_bytes()).collect();
    let auth = serde_json::to_string(&fields).ok().map(Str::from);
    (namespace.slice_ref(if name.is_empty() { "/" } else { name }), auth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b77_the_query_of_a_namespace_is_its_auth() {
        let parts = |text: &'static str| split(&Str::from_static(text));
        let auth = |json: &'static str| Some(Str::from_static(json));
        assert_eq!(parts("/chat"), ("/chat".into(), None));
        assert_eq!(parts("/chat?"), ("/chat".into(), auth("{}")));
        assert_eq!(parts("/chat?b=2&a=1&b=3"), ("/chat".into(), auth(r#"{"a":"1","b":"3"}"#)));
        assert_eq!(
            parts("/chat?a=%22+%C3%A9&b&__proto__=x?y"),
            ("/chat".into(), auth(r#"{"__proto__":"x?y","a":"\" é","b":""}"#))
        );
        assert_eq!(parts("/?a=1"), ("/".into(), auth(r#"{"a":"1"}"#)));
    }
}
