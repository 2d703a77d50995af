//! What an answer says about the cache it came from: Cache-Status (RFC 9211), else X-Cache.

use http::HeaderMap;

use crate::measured::Cache;

/// Reads it out of an answer's fields. The member nearest to the listener is the last one (RFC 9211 section 2).
pub fn said_of_cache(fields: &HeaderMap) -> Cache {
    let text = |name: &str| fields.get_all(name).iter().filter_map(|value| value.to_str().ok()).next_back();
    if let Some(member) = text("cache-status").and_then(|text| text.rsplit(',').next()) {
        return of_member(member);
    }
    match text("x-cache").or_else(|| text("x-cache-status")).map(str::to_ascii_lowercase) {
        Some(word) if word.contains("hit") => Cache::Hit,
        Some(word) if word.contains("miss") || word.contains("expired") => Cache::Miss,
        _ => Cache::Unsaid,
    }
}

fn of_member(member: &str) -> Cache {
    let mut parameters = member.split(';').skip(1).map(|parameter| parameter.trim().to_ascii_lowercase());
    let said: Vec<String> = parameters.by_ref().collect();
    let detail = said.iter().find_map(|parameter| parameter.strip_prefix("detail=")).map(|text| text.trim_matches('"'));
    let is_hit = said.iter().any(|parameter| parameter == "hit");
    match (is_hit, detail) {
        (true, Some("memory" | "mem")) => Cache::Memory,
        (true, Some("disk")) => Cache::Disk,
        (true, Some("prefetched")) => Cache::Prefetched,
        (true, _) => Cache::Hit,
        (false, _) if said.iter().any(|parameter| parameter.starts_with("fwd")) => Cache::Miss,
        _ => Cache::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_understood_in_the_words_that_they_use() {
        for (name, text, cache) in [
            ("cache-status", "edge; hit; ttl=12; detail=prefetched", Cache::Prefetched),
            ("cache-status", "edge; hit", Cache::Hit),
            ("cache-status", "origin; hit, edge; fwd=miss; stored", Cache::Miss),
            ("cache-status", "shield; fwd=miss, edge; hit; detail=\"memory\"", Cache::Memory),
            ("cache-status", "edge", Cache::Unsaid),
            ("x-cache", "Hit from cloudfront", Cache::Hit),
            ("x-cache-status", "MISS", Cache::Miss),
            ("server", "nginx", Cache::Unsaid),
        ] {
            let fields = HeaderMap::from_iter([(name.parse().unwrap(), text.parse().unwrap())]);
            assert_eq!(said_of_cache(&fields), cache, "{name}: {text}");
        }
    }
}
