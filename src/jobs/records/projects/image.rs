//! An image of a project, and how it goes from its registration to `Ready` or `Invalid`: pure, with time as a parameter.

use std::time::{Duration, SystemTime};

use crate::jobs::model::JobId;

/// After so long without a change an image that is not final never becomes one.
pub const SILENCE: Duration = Duration::from_secs(65 * 60);

/// Where an image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Registered.
    Pending,
    /// Its bytes are on their way.
    Uploading,
    /// They are here.
    Uploaded,
    /// They are looked at.
    Processing,
    /// They are a picture as it was promised.
    Ready,
    /// They are not, or never came.
    Invalid,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Uploading, Self::Uploaded, Self::Processing, Self::Ready, Self::Invalid];

    /// Its name in the database and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Uploading => "Uploading",
            Self::Uploaded => "Uploaded",
            Self::Processing => "Processing",
            Self::Ready => "Ready",
            Self::Invalid => "Invalid",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether only its owner changes it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Invalid)
    }

    /// Whether its bytes have come, and were not refused.
    pub const fn has_arrived(self) -> bool {
        matches!(self, Self::Uploaded | Self::Processing | Self::Ready)
    }
}

/// How its bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Put to a signed URL: their arrival is the signal.
    Url,
    /// Put with temporary credentials: the owner says when that is done.
    Credentials,
    /// Fetched by the server.
    Fetch,
}

impl Way {
    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Credentials => "credentials",
            Self::Fetch => "fetch",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Url, Self::Credentials, Self::Fetch].into_iter().find(|it| it.name() == name)
    }
}

/// An image as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub id: JobId,
    /// The project that it belongs to.
    pub project: JobId,
    /// What its owner calls it.
    pub name: String,
    /// What it is stored as, below the project.
    pub file: String,
    /// How its bytes come.
    pub way: Way,
    /// Where it stands.
    pub state: State,
    /// The SHA-1 that its owner promises, in lower hexadecimal digits.
    pub checksum: Option<String>,
    /// The SHA-1 of what arrived.
    pub sha1: Option<String>,
    /// How many bytes arrived.
    pub bytes: Option<u64>,
    /// Width and height in pixels, once they are known.
    pub size: Option<(u32, u32)>,
    /// Why it is invalid.
    pub errors: Vec<String>,
    /// The job that looks at it.
    pub job: Option<JobId>,
    /// When it was registered.
    pub created: SystemTime,
    /// When it last changed.
    pub changed: SystemTime,
}

/// What happens to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is registered once more, with the same checksum, to come this way.
    Registered(Way),
    /// Its owner says that the bytes are on their way.
    Started,
    /// Bytes have come.
    Arrived {
        /// Their SHA-1 in lower hexadecimal digits.
        sha1: String,
        /// How many.
        bytes: u64,
    },
    /// Its owner says that all has been sent.
    Done,
    /// A job looks at it.
    Picked(JobId),
    /// That job says that it is a picture of this width and height.
    Verified(JobId, (u32, u32)),
    /// That job says that it is none.
    Refused(JobId, Vec<String>),
    /// It could not be fetched.
    Lost(String),
    /// Time passes.
    Tick,
}

impl Image {
    /// What it becomes by `event`; whether anything changed.
    pub fn apply(&mut self, event: Event, now: SystemTime) -> bool {
        let before = self.clone();
        match event {
            Event::Registered(way) => self.register(way),
            Event::Started => self.start(),
            Event::Arrived { sha1, bytes } => self.arrive(sha1, bytes),
            Event::Done => self.finish(),
            Event::Picked(job) => self.pick(job),
            Event::Verified(job, size) => self.verify(&job, size),
            Event::Refused(job, errors) if self.is_looked_at_by(&job) => self.refuse(errors),
            Event::Refused(..) => {}
            Event::Lost(problem) => self.lose(problem),
            Event::Tick => self.age(now),
        }
        if *self == before {
            return false;
        }
        self.changed = now;
        true
    }

    /// Whether the server fetches it.
    pub fn is_fetched(&self) -> bool {
        self.way == Way::Fetch && self.state == State::Uploading
    }

    /// Whether bytes of this SHA-1 are not those that were promised.
    pub fn is_contradicted_by(&self, sha1: &str) -> bool {
        self.checksum.as_ref().is_some_and(|promised| promised != sha1)
    }

    fn register(&mut self, way: Way) {
        if self.state.has_arrived() {
            return;
        }
        self.empty();
        self.way = way;
        self.state = if way == Way::Fetch { State::Uploading } else { State::Pending };
    }

    fn start(&mut self) {
        if matches!(self.state, State::Pending | State::Invalid) {
            if self.state == State::Invalid {
                self.empty();
            }
            self.state = State::Uploading;
        }
    }

    /// The same bytes once more change nothing.
    fn arrive(&mut self, sha1: String, bytes: u64) {
        if self.state.has_arrived() && self.sha1.as_ref() == Some(&sha1) {
            return;
        }
        let awaits_word = self.way == Way::Credentials;
        self.empty();
        if self.is_contradicted_by(&sha1) {
            let promised = self.checksum.as_deref().unwrap_or_default();
            return self.refuse(vec![format!("checksum mismatch: the SHA-1 is {sha1}; expected {promised}")]);
        }
        (self.sha1, self.bytes) = (Some(sha1), Some(bytes));
        self.state = match (awaits_word, self.state) {
            (true, State::Pending) => State::Pending,
            (true, _) => State::Uploading,
            (false, _) => State::Uploaded,
        };
    }

    fn finish(&mut self) {
        let is_awaited = matches!(self.state, State::Pending | State::Uploading) && self.way != Way::Fetch;
        match (is_awaited, &self.sha1) {
            (false, _) => {}
            (true, Some(_)) => self.state = State::Uploaded,
            (true, None) => self.refuse(vec!["object not found".to_owned()]),
        }
    }

    fn pick(&mut self, job: JobId) {
        if self.state == State::Uploaded {
            (self.state, self.job) = (State::Processing, Some(job));
        }
    }

    fn verify(&mut self, job: &JobId, size: (u32, u32)) {
        if self.is_looked_at_by(job) {
            (self.state, self.size, self.job) = (State::Ready, Some(size), None);
        }
    }

    fn lose(&mut self, problem: String) {
        if self.is_fetched() {
            self.refuse(vec![problem]);
        }
    }

    fn age(&mut self, now: SystemTime) {
        let silent = now.duration_since(self.changed).is_ok_and(|silent| silent >= SILENCE);
        if silent && !self.state.is_final() {
            self.refuse(vec![format!("nothing happened for {} minutes", SILENCE.as_secs() / 60)]);
        }
    }

    fn is_looked_at_by(&self, job: &JobId) -> bool {
        self.state == State::Processing && self.job.as_ref() == Some(job)
    }

    fn refuse(&mut self, errors: Vec<String>) {
        (self.state, self.errors, self.job) = (State::Invalid, errors, None);
    }

    fn empty(&mut self) {
        (self.sha1, self.bytes, self.size, self.job) = (None, None, None, None);
        self.errors.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn id(digit: char) -> JobId {
        JobId::parse(&digit.to_string().repeat(24)).unwrap()
    }

    fn image(way: Way, state: State) -> Image {
        let sha1 = state.has_arrived().then(|| "a".to_owned());
        let job = (state == State::Processing).then(|| id('1'));
        let errors = if state == State::Invalid { vec!["no".to_owned()] } else { Vec::new() };
        Image {
            id: id('2'),
            project: id('3'),
            name: String::new(),
            file: String::new(),
            way,
            state,
            checksum: None,
            sha1,
            bytes: None,
            size: None,
            errors,
            job,
            created: NOW,
            changed: NOW,
        }
    }

    fn arrived(sha1: &str) -> Event {
        Event::Arrived { sha1: sha1.to_owned(), bytes: 1 }
    }

    /// The table of section 5, and what is not in it.
    #[test]
    fn states_follow_events() {
        use State::*;
        let rows: &[(Way, State, Event, State)] = &[
            (Way::Url, Pending, Event::Started, Uploading),
            (Way::Url, Invalid, Event::Started, Uploading),
            (Way::Url, Uploaded, Event::Started, Uploaded),
            (Way::Url, Ready, Event::Started, Ready),
            (Way::Url, Pending, arrived("b"), Uploaded),
            (Way::Url, Uploading, arrived("b"), Uploaded),
            (Way::Url, Invalid, arrived("b"), Uploaded),
            (Way::Url, Ready, arrived("b"), Uploaded),
            (Way::Url, Ready, arrived("a"), Ready),
            (Way::Fetch, Uploading, arrived("b"), Uploaded),
            (Way::Credentials, Pending, arrived("b"), Pending),
            (Way::Credentials, Uploading, arrived("b"), Uploading),
            (Way::Credentials, Uploading, Event::Done, Invalid),
            (Way::Credentials, Ready, Event::Done, Ready),
            (Way::Fetch, Uploading, Event::Done, Uploading),
            (Way::Fetch, Uploading, Event::Lost("gone".to_owned()), Invalid),
            (Way::Url, Uploaded, Event::Picked(id('1')), Processing),
            (Way::Url, Ready, Event::Picked(id('1')), Ready),
            (Way::Url, Processing, Event::Verified(id('1'), (1, 1)), Ready),
            (Way::Url, Processing, Event::Verified(id('9'), (1, 1)), Processing),
            (Way::Url, Processing, Event::Refused(id('1'), Vec::new()), Invalid),
            (Way::Url, Processing, Event::Refused(id('9'), Vec::new()), Processing),
            (Way::Url, Invalid, Event::Registered(Way::Credentials), Pending),
            (Way::Url, Uploading, Event::Registered(Way::Url), Pending),
            (Way::Url, Invalid, Event::Registered(Way::Fetch), Uploading),
            (Way::Url, Ready, Event::Registered(Way::Url), Ready),
        ];
        for (way, from, event, to) in rows {
            let mut image = image(*way, *from);
            let changed = image.apply(event.clone(), NOW);
            assert_eq!(image.state, *to, "{from:?} {event:?}");
            assert_eq!(
                image.errors.is_empty() || matches!(event, Event::Refused(..)),
                *to != Invalid || image.errors.is_empty(),
                "{from:?} {event:?}"
            );
            assert!(changed || from == to, "{from:?} {event:?}");
        }
    }

    #[test]
    fn an_owner_who_sends_with_credentials_says_when_it_is_done() {
        let mut image = image(Way::Credentials, State::Uploading);
        image.apply(arrived("b"), NOW);
        image.apply(Event::Done, NOW);
        assert_eq!((image.state, image.bytes), (State::Uploaded, Some(1)));
    }

    #[test]
    fn promises_are_kept() {
        let promise = || Image { checksum: Some("b".to_owned()), ..image(Way::Url, State::Uploading) };
        let (mut kept, mut broken) = (promise(), promise());
        kept.apply(arrived("b"), NOW);
        broken.apply(arrived("c"), NOW);
        assert_eq!((kept.state, broken.state), (State::Uploaded, State::Invalid));
        assert_eq!(broken.errors, ["checksum mismatch: the SHA-1 is c; expected b"]);
    }

    #[test]
    fn silence_ends_what_is_not_final() {
        for state in State::ALL {
            let mut image = image(Way::Url, state);
            assert!(!image.apply(Event::Tick, NOW + SILENCE - Duration::from_secs(1)), "{state:?}");
            let expected = if state == State::Ready { State::Ready } else { State::Invalid };
            image.apply(Event::Tick, NOW + SILENCE);
            assert_eq!(image.state, expected, "{state:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::named(state.name()), Some(state));
        }
        for way in [Way::Url, Way::Credentials, Way::Fetch] {
            assert_eq!(Way::named(way.name()), Some(way));
        }
    }
}
