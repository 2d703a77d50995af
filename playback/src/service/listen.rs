//! Listening: grants, the play queue, and the devices.

use needledrop_core::{PlaybackId, TrackId, UnixSeconds};

use super::{Error, Playback, locked, random};
use crate::account::DisplayName;
use crate::caller::Caller;
use crate::devices::{Device, SEEN_WRITTEN_EVERY_SECONDS};
use crate::grant::{Asked, Edge, Grant, Listener, TrackFacts, decide, grant};
use crate::play_id;
use crate::plays::{PlayKey, Start};
use crate::queue::{Queue, UnixMs};
use crate::scope::Scope;
use crate::uid::pseudonym;

/// A request for a grant.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is to be heard.
    pub track: TrackFacts<'a>,
    /// What will be heard after it, as far as anybody knows.
    pub next: Option<TrackFacts<'a>>,
    /// In which form.
    pub asked: Asked,
    /// From where.
    pub start: Start,
    /// On which device; the client of the credential where it does not say.
    pub device: Option<&'a DisplayName>,
}

impl Playback {
    /// The right to hear a track, as signed URLs for these edges, best first. Not to be cached.
    ///
    /// # Errors
    /// The credential does not allow listening, or the track may not be heard.
    pub async fn grant(
        &self,
        caller: &Caller,
        ask: &Ask<'_>,
        edges: &[Edge<'_>],
        now: UnixSeconds,
    ) -> Result<Grant, Error> {
        caller.may(Scope::Streaming)?;
        let account = caller.account();
        let decided = decide(account, &ask.track, &ask.asked, now)?;
        let client = ask.device.unwrap_or(caller.client()).clone();
        self.device_seen(caller, &client, now);
        let key = PlayKey { account: account.id, client, track: ask.track.id };
        let playback = self.playback_id(key, ask.start, now).await?;
        let listener = Listener { account, pseudonym: pseudonym(&self.key, account.id, now), playback };
        Ok(grant(&listener, &ask.track, ask.next.as_ref(), decided, edges, now)?)
    }

    async fn playback_id(&self, key: PlayKey, start: Start, now: UnixSeconds) -> Result<PlaybackId, Error> {
        if start == Start::Resume
            && !locked(&self.plays).knows(&key, now)
            && let Some(play) = self.store.play(&key).await?
        {
            locked(&self.plays).remember(key.clone(), play, now);
        }
        let fresh = play_id::bytes(&self.key, key.account, key.track, random()?);
        let settled = locked(&self.plays).settle(&key, start, now, fresh);
        if settled.is_news {
            self.writer.play(key, Some(settled.play)).await;
        }
        Ok(settled.play.id)
    }

    /// Whether this playback id was granted to the caller's account for this track, whenever that was.
    pub fn was_granted(&self, caller: &Caller, track: TrackId, play: PlaybackId) -> bool {
        play_id::is_of(&self.key, caller.account().id, track, play)
    }

    /// A client that reports no more than that a track was heard says so, at half time or at the end. The play it
    /// belongs to goes on until the track is over; None if none goes on, so that one listen is reported once.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn scrobbled(
        &self,
        caller: &Caller,
        device: Option<&DisplayName>,
        track: TrackId,
        duration_ms: u64,
        now: UnixSeconds,
    ) -> Result<Option<PlaybackId>, Error> {
        let client = device.unwrap_or(caller.client()).clone();
        let key = PlayKey { account: caller.account().id, client, track };
        if !locked(&self.plays).knows(&key, now)
            && let Some(play) = self.store.play(&key).await?
        {
            locked(&self.plays).remember(key.clone(), play, now);
        }
        let heard = locked(&self.plays).heard(&key, duration_ms, now);
        if let Some(play) = heard {
            self.writer.play(key, Some(play)).await;
        }
        Ok(heard.map(|play| play.id))
    }

    /// The track was heard to its end on this device: hearing it once more is another play.
    pub async fn heard(&self, caller: &Caller, device: Option<&DisplayName>, track: TrackId) {
        let client = device.unwrap_or(caller.client()).clone();
        let key = PlayKey { account: caller.account().id, client, track };
        locked(&self.plays).end(key.clone());
        self.writer.play(key, None).await;
    }

    /// The play queue.
    ///
    /// # Errors
    /// The credential does not allow it.
    pub async fn queue(&self, caller: &Caller) -> Result<Option<Queue>, Error> {
        caller.may(Scope::PlaybackRead)?;
        Ok(self.store.queue(caller.account().id).await?)
    }

    /// A device says what the queue is: it becomes so, unless a later word is there. False if that one stays.
    ///
    /// # Errors
    /// The credential does not allow it, or the queue is none.
    pub async fn set_queue(&self, caller: &Caller, said: Queue, now: UnixMs) -> Result<bool, Error> {
        caller.may(Scope::PlaybackModify)?;
        let queue = said.checked(now)?;
        match self.store.write_queue(caller.account().id, &queue).await {
            // The account was removed a moment ago.
            Err(error) if error.is_foreign_key_violation() => Err(Error::WrongCredential),
            written => Ok(written?),
        }
    }

    /// The devices of the account, the last seen first.
    ///
    /// # Errors
    /// The credential does not allow it.
    pub async fn devices(&self, caller: &Caller) -> Result<Vec<Device>, Error> {
        caller.may(Scope::PlaybackRead)?;
        Ok(self.store.devices(caller.account().id).await?)
    }

    /// The account plays on its device of this name. Written at most every minute, and not waited for.
    fn device_seen(&self, caller: &Caller, name: &DisplayName, now: UnixSeconds) {
        let place = (caller.account().id, name.clone());
        let fresh = |(client, seen): &(DisplayName, UnixSeconds)| {
            client == caller.client() && now.since(*seen) < SEEN_WRITTEN_EVERY_SECONDS
        };
        if locked(&self.sightings).get(&place).is_some_and(fresh) {
            return;
        }
        let device = Device { name: name.clone(), client: caller.client().clone(), seen: now };
        if self.writer.seen(place.0, device) {
            locked(&self.sightings).put(place, (caller.client().clone(), now));
        }
    }

    /// Forgets a device.
    ///
    /// # Errors
    /// The credential does not allow it, or there is none of that name.
    pub async fn forget_device(&self, caller: &Caller, name: &DisplayName) -> Result<(), Error> {
        caller.may(Scope::PlaybackModify)?;
        let forgotten = self.store.forget_device(caller.account().id, name).await?;
        locked(&self.sightings).pop(&(caller.account().id, name.clone()));
        if forgotten { Ok(()) } else { Err(Error::NotFound) }
    }
}
