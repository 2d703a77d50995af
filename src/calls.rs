//! `[up.calls]`: from the configuration to the gateway's limits and origins. Zero switches a limit off.

use needledrop_core::Cidr;
use needledrop_core::rate::Quota;
use needledrop_gateway::cors::Cors;
use needledrop_gateway::limits::{READ, SEARCH, SIGN_IN, STRANGER, Settings, WRITE};

use crate::config;

/// All origins: the default.
const EVERYBODY: &str = "*";

impl config::Calls {
    /// Writes the defaults where nobody decided.
    pub fn decide(&mut self) {
        self.cors_origins.get_or_insert_with(|| vec![EVERYBODY.to_owned()]);
        for (rate, burst, quota) in [
            (&mut self.read_rate, &mut self.read_burst, READ),
            (&mut self.search_rate, &mut self.search_burst, SEARCH),
            (&mut self.write_rate, &mut self.write_burst, WRITE),
            (&mut self.sign_in_rate, &mut self.sign_in_burst, SIGN_IN),
            (&mut self.stranger_rate, &mut self.stranger_burst, STRANGER),
        ] {
            rate.get_or_insert(quota.per_second);
            burst.get_or_insert(quota.burst);
        }
    }

    /// How often somebody may call, from everywhere but these networks.
    pub fn settings(&self, exempt: Vec<Cidr>) -> Settings {
        let mut decided = self.clone();
        decided.decide();
        let quota = |rate: Option<u32>, burst: Option<u32>| {
            let per_second = rate.filter(|rate| *rate > 0)?;
            Some(Quota { per_second, burst: burst.unwrap_or(1).max(1) })
        };
        Settings {
            exempt,
            read: quota(decided.read_rate, decided.read_burst),
            search: quota(decided.search_rate, decided.search_burst),
            write: quota(decided.write_rate, decided.write_burst),
            sign_in: quota(decided.sign_in_rate, decided.sign_in_burst),
            stranger: quota(decided.stranger_rate, decided.stranger_burst),
        }
    }

    /// Whose pages may call.
    ///
    /// # Errors
    /// One of them is no origin.
    pub fn cors(&self) -> Result<Cors, String> {
        let origins = self.cors_origins.as_deref();
        origins.map_or(Ok(Cors::Any), Cors::parse).map_err(|error| format!("--cors-origin {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_defaults_of_the_gateway() {
        let nothing = config::Calls::default();
        assert_eq!(nothing.settings(Cidr::LOOPBACK.to_vec()), Settings::default());
        assert_eq!(nothing.cors(), Ok(Cors::Any));
        let mut decided = nothing;
        decided.decide();
        assert_eq!((decided.read_rate, decided.cors()), (Some(READ.per_second), Ok(Cors::Any)));
    }

    #[test]
    fn zero_switches_a_class_off_and_origins_are_parsed() {
        let text = "read_rate = 0\nsearch_burst = 7\ncors_origins = []\n";
        let said: config::Calls = toml::from_str(text).unwrap();
        let settings = said.settings(Vec::new());
        assert_eq!((settings.read, settings.write), (None, Some(WRITE)));
        assert_eq!(settings.search, Some(Quota { burst: 7, ..SEARCH }));
        assert_eq!(said.cors(), Ok(Cors::Only(Vec::new())));
        let wrong = config::Calls { cors_origins: Some(vec!["music.example".into()]), ..config::Calls::default() };
        assert!(wrong.cors().unwrap_err().contains("https://HOST"));
    }
}
