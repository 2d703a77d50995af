//! `[edge.limits]`: from the numbers of the configuration to those of doors and edge. Zero switches a limit off.

use needledrop_core::{Cidr, rate::Quota};
use needledrop_edge::{admission, limits};
use needledrop_http::{DoorsConfig, Limits};

use crate::config;

impl config::Limits {
    /// Writes the defaults where nobody decided.
    pub fn decide(&mut self) {
        let doors = Limits::default();
        let or = |value: &mut Option<u32>, default: usize| {
            value.get_or_insert(u32::try_from(default).unwrap_or(u32::MAX));
        };
        let exempt = || Cidr::LOOPBACK.iter().map(Cidr::to_string).collect();
        self.exempt.get_or_insert_with(exempt);
        or(&mut self.network_connections, doors.network_connections);
        or(&mut self.neighbourhood_connections, doors.neighbourhood_connections);
        for (rate, burst, quota) in [
            (&mut self.network_rate, &mut self.network_burst, limits::RATE_NETWORK),
            (&mut self.neighbourhood_rate, &mut self.neighbourhood_burst, limits::RATE_NEIGHBOURHOOD),
            (&mut self.listener_rate, &mut self.listener_burst, limits::RATE_LISTENER),
        ] {
            rate.get_or_insert(quota.per_second);
            burst.get_or_insert(quota.burst);
        }
        or(&mut self.playback_networks, limits::PLAYBACK_NETWORKS);
    }

    /// The edge's part.
    ///
    /// # Errors
    /// An exempt network that is none.
    pub fn admission(&self) -> Result<admission::Settings, String> {
        let decided = self.decided();
        let quota = |rate: Option<u32>, burst: Option<u32>| {
            let per_second = rate.filter(|rate| *rate > 0)?;
            Some(Quota { per_second, burst: burst.unwrap_or(1).max(1) })
        };
        Ok(admission::Settings {
            exempt: decided.exempt()?,
            network: quota(decided.network_rate, decided.network_burst),
            neighbourhood: quota(decided.neighbourhood_rate, decided.neighbourhood_burst),
            listener: quota(decided.listener_rate, decided.listener_burst),
            playback_networks: decided.playback_networks.filter(|count| *count > 0).map(|count| count as usize),
        })
    }

    /// The doors' part.
    ///
    /// # Errors
    /// An exempt network that is none.
    pub fn apply(&self, doors: &mut DoorsConfig) -> Result<(), String> {
        let decided = self.decided();
        doors.exempt = Some(decided.exempt()?);
        doors.limits.network_connections = decided.network_connections.unwrap_or(0) as usize;
        doors.limits.neighbourhood_connections = decided.neighbourhood_connections.unwrap_or(0) as usize;
        Ok(())
    }

    fn decided(&self) -> Self {
        let mut decided = self.clone();
        decided.decide();
        decided
    }

    /// Networks that nothing is counted for.
    ///
    /// # Errors
    /// One is none.
    pub fn not_counted(&self) -> Result<Vec<Cidr>, String> {
        self.decided().exempt()
    }

    fn exempt(&self) -> Result<Vec<Cidr>, String> {
        let networks = self.exempt.iter().flatten().map(|network| Cidr::parse(network));
        networks.collect::<Result<_, _>>().map_err(|error| format!("limits.exempt: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_defaults_of_edge_and_doors() {
        let nothing = config::Limits::default();
        assert_eq!(nothing.admission(), Ok(admission::Settings::default()));
        let mut doors = DoorsConfig::default();
        nothing.apply(&mut doors).unwrap();
        assert_eq!(doors.limits, Limits::default());
        assert_eq!(doors.exempt, Some(Cidr::LOOPBACK.to_vec()));
    }

    #[test]
    fn zero_switches_a_limit_off_and_networks_are_exempted() {
        let text = "exempt = [\"10.0.0.0/8\"]\nlistener_rate = 0\nplayback_networks = 0\nnetwork_rate = 7\n";
        let said: config::Limits = toml::from_str(text).unwrap();
        let settings = said.admission().unwrap();
        assert_eq!((settings.listener, settings.playback_networks), (None, None));
        assert_eq!(settings.network, Some(Quota { per_second: 7, burst: limits::RATE_NETWORK.burst }));
        assert_eq!(settings.exempt, [Cidr::parse("10.0.0.0/8").unwrap()]);
        let wrong = config::Limits { exempt: Some(vec!["10.0.0.5/8".into()]), ..config::Limits::default() };
        assert!(wrong.admission().is_err());
    }
}
