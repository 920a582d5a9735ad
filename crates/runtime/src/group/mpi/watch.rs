//! Who is alive: sockets between all members.
//!
//! When a process ends, whatever ended it, its system closes its sockets, and all others see that at once. A host that is gone without
//! closing them is noticed by its silence. Members that leave properly say so first. What one member learns of another's loss it tells the rest, so that all
//! name the same one.
//!
//! Each member has a socket to every other: `n - 1` of them. They carry a byte a second.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ADDRESS_VARIABLE;
use crate::group::GroupError;

/// How often sockets are looked at.
const LOOK: Duration = Duration::from_millis(25);
/// How often a member says that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// How long members are waited for when a group is made.
const MEETING: Duration = Duration::from_secs(60);
/// How many bytes a member says of where it is.
const ADDRESS_BYTES: usize = 512;

const ALIVE: u8 = b'.';
const GOODBYE: u8 = b'g';
/// Followed by the number of bytes of the reason, and the reason.
const ABANDONED: u8 = b'a';
/// Followed by the rank of one that is lost.
const LOST: u8 = b'l';

/// What is known of the other members.
pub(super) struct Watch {
    own: usize,
    size: usize,
    state: Mutex<State>,
}

struct State {
    peers: Vec<Peer>,
    lost: Option<GroupError>,
    /// The first member that has left properly, and when that was heard.
    left: Option<(usize, Instant)>,
    has_said_goodbye: bool,
}

struct Peer {
    rank: usize,
    stream: TcpStream,
    heard: Instant,
    /// What has come and is not a whole message yet.
    unread: Vec<u8>,
    state: PeerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerState {
    Alive,
    /// It left properly.
    Left,
    Gone,
}

/// What a member says.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Alive,
    Goodbye,
    Abandoned(String),
    Lost(usize),
}

/// Connects to all other members, whose whereabouts `gather` exchanges, and watches them from then on. Also the number of this one among those
/// on its host.
pub(super) fn connect(
    own: usize,
    size: usize,
    silence: Duration,
    gather: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, GroupError>,
) -> Result<(usize, Arc<Watch>), GroupError> {
    let state = State { peers: Vec::new(), lost: None, left: None, has_said_goodbye: false };
    let watch = Watch { own, size, state: Mutex::new(state) };
    if size == 1 {
        return Ok((0, Arc::new(watch)));
    }
    let system = |error: io::Error| GroupError::System { reason: error.to_string() };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(system)?;
    let port = listener.local_addr().map_err(system)?.port();
    // Strangers do not know it, and are turned away.
    let secret = RandomState::new().hash_one(std::process::id());
    let named = std::env::var(ADDRESS_VARIABLE).unwrap_or_default();
    let mut own_address = format!("{secret}\n{}\n{named}\n{port}\n", host_name()).into_bytes();
    own_address.resize(ADDRESS_BYTES, b' ');
    let all = gather(own_address)?;
    let members: Vec<Whereabouts> = all.chunks(ADDRESS_BYTES).map(Whereabouts::read).collect();
    let secret = members[0].secret;
    let mut streams: Vec<Option<TcpStream>> = (0..size).map(|_| None).collect();
    for (rank, member) in members.iter().enumerate().take(own) {
        streams[rank] = Some(member.reach(rank, own, secret, &members[own])?);
    }
    accept(&listener, secret, own, &mut streams)?;
    let mut peers = Vec::with_capacity(size - 1);
    for (rank, stream) in streams.into_iter().enumerate() {
        let Some(stream) = stream else { continue };
        stream.set_nonblocking(true).map_err(system)?;
        stream.set_nodelay(true).map_err(system)?;
        peers.push(Peer { rank, stream, heard: Instant::now(), unread: Vec::new(), state: PeerState::Alive });
    }
    watch.lock().peers = peers;
    let watch = Arc::new(watch);
    let watching = Arc::downgrade(&watch);
    let look = move || {
        let mut beat = Instant::now();
        // Until nobody asks any more.
        while let Some(watch) = watching.upgrade() {
            watch.look(silence);
            if beat.elapsed() >= BEAT {
                beat = Instant::now();
                watch.tell(&[ALIVE]);
            }
            drop(watch);
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("arenagrad watch".to_owned()).spawn(look).map_err(system)?;
    Ok((members[..own].iter().filter(|member| member.host == members[own].host).count(), watch))
}

/// Where a member can be reached.
struct Whereabouts {
    secret: u64,
    host: String,
    /// The address that its environment names, if it does.
    named: String,
    port: u16,
}

impl Whereabouts {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default().trim().to_owned();
        let (secret, host, named, port) = (line(), line(), line(), line());
        Whereabouts { secret: secret.parse().unwrap_or(0), host, named, port: port.parse().unwrap_or(0) }
    }

    /// Connects to it, and says who this is.
    fn reach(&self, rank: usize, own: usize, secret: u64, here: &Whereabouts) -> Result<TcpStream, GroupError> {
        let host = match &*self.named {
            "" if self.host == here.host => "127.0.0.1",
            "" => &self.host,
            named => named,
        };
        let address = format!("{host}:{}", self.port);
        let unreachable = |error: io::Error| GroupError::Unreachable {
            rank,
            address: address.clone(),
            reason: error.to_string(),
            variable: ADDRESS_VARIABLE,
        };
        let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, self.port)],
            Err(_) => (host, self.port).to_socket_addrs().map_err(unreachable)?.collect(),
        };
        let mut refused = io::Error::new(ErrorKind::NotFound, "its name has no address");
        for place in found {
            match TcpStream::connect_timeout(&place, MEETING / 4) {
                Ok(mut stream) => {
                    let hello = [secret.to_le_bytes(), (own as u64).to_le_bytes()].concat();
                    stream.write_all(&hello).map_err(unreachable)?;
                    return Ok(stream);
                }
                Err(error) => refused = error,
            }
        }
        Err(unreachable(refused))
    }
}

/// Waits for those of higher rank, who connect to this member.
fn accept(
    listener: &TcpListener,
    secret: u64,
    own: usize,
    streams: &mut [Option<TcpStream>],
) -> Result<(), GroupError> {
    let system = |error: io::Error| GroupError::System { reason: error.to_string() };
    listener.set_nonblocking(true).map_err(system)?;
    let begun = Instant::now();
    while let Some(missing) = streams.iter().skip(own + 1).position(Option::is_none).map(|place| place + own + 1) {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let mut hello = [0; 16];
                stream.set_nonblocking(false).map_err(system)?;
                stream.set_read_timeout(Some(MEETING / 4)).map_err(system)?;
                if stream.read_exact(&mut hello).is_err() {
                    continue;
                }
                let number = |place: usize| hello[place..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                let rank = usize::try_from(number(8)).unwrap_or(usize::MAX);
                if number(0) == secret && rank > own && rank < streams.len() && streams[rank].is_none() {
                    streams[rank] = Some(stream);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if begun.elapsed() > MEETING {
                    let reason = format!("it did not connect to rank {own} within {} s", MEETING.as_secs());
                    let (address, variable) = ("its own side".to_owned(), ADDRESS_VARIABLE);
                    return Err(GroupError::Unreachable { rank: missing, address, reason, variable });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(system(error)),
        }
    }
    Ok(())
}

/// The name of this host.
fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = read.or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

impl Watch {
    /// That of a member of two of which the other has left at that time.
    #[cfg(test)]
    pub(super) fn of_one_that_left(left: Instant) -> Watch {
        let state = State { peers: Vec::new(), lost: None, left: Some((1, left)), has_said_goodbye: false };
        Watch { own: 0, size: 2, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is shared is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the group is at its end, if it is: a member was lost, or gave up.
    pub(super) fn lost(&self) -> Option<GroupError> {
        self.lock().lost.clone()
    }

    /// The first member that has left properly, if there is one, and when.
    pub(super) fn left(&self) -> Option<(Instant, GroupError)> {
        let (rank, left) = self.lock().left?;
        Some((left, self.left_by(rank, "it was done")))
    }

    /// Says that this member gives up.
    pub(super) fn abandon(&self, reason: &str) {
        let reason: String = reason.chars().take(1000).collect();
        let bytes = reason.as_bytes();
        let message = [&[ABANDONED][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
        self.tell(&message);
        let mut state = self.lock();
        let own = self.left_by(self.own, &reason);
        state.lost.get_or_insert(own);
    }

    /// Says goodbye, and waits until everyone has or is gone; meanwhile it calls `go_on` again and again. Whether everyone has.
    pub(super) fn say_goodbye(&self, go_on: impl Fn()) -> bool {
        self.lock().has_said_goodbye = true;
        self.tell(&[GOODBYE]);
        loop {
            let state = self.lock();
            if state.lost.is_some() || state.peers.iter().any(|peer| peer.state == PeerState::Gone) {
                return false;
            }
            if state.peers.iter().all(|peer| peer.state == PeerState::Left) {
                return true;
            }
            drop(state);
            go_on();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes to all who are there. What cannot be written, to one that is gone or does not read, is noticed elsewhere.
    fn tell(&self, message: &[u8]) {
        let mut state = self.lock();
        for peer in state.peers.iter_mut().filter(|peer| peer.state != PeerState::Gone) {
            let _ = peer.stream.write(message);
        }
    }

    fn lost_by(&self, rank: usize, reason: &str) -> GroupError {
        GroupError::RankLost { rank, size: self.size, own: self.own, reason: reason.to_owned() }
    }

    fn left_by(&self, rank: usize, reason: &str) -> GroupError {
        GroupError::RankLeft { rank, size: self.size, own: self.own, reason: reason.to_owned() }
    }

    /// Reads what has come from all members.
    fn look(&self, silence: Duration) {
        let mut news: Vec<GroupError> = Vec::new();
        let mut told: Vec<GroupError> = Vec::new();
        {
            let mut state = self.lock();
            let State { peers, left, .. } = &mut *state;
            for peer in peers.iter_mut().filter(|peer| peer.state != PeerState::Gone) {
                let is_open = peer.read();
                while let Some(word) = next_word(&mut peer.unread) {
                    match word {
                        Word::Alive => {}
                        Word::Goodbye => {
                            peer.state = PeerState::Left;
                            left.get_or_insert((peer.rank, Instant::now()));
                        }
                        Word::Abandoned(reason) => told.push(self.left_by(peer.rank, &reason)),
                        Word::Lost(rank) if rank != self.own => {
                            told.insert(0, self.lost_by(rank, &format!("as rank {} says", peer.rank)));
                        }
                        Word::Lost(_) => {}
                    }
                }
                let has_left = peer.state == PeerState::Left;
                if !is_open {
                    peer.state = if has_left { PeerState::Left } else { PeerState::Gone };
                    let has_given_up = told
                        .iter()
                        .any(|error| matches!(error, GroupError::RankLeft { rank, .. } if *rank == peer.rank));
                    if !has_left && !has_given_up {
                        news.push(self.lost_by(peer.rank, "its connection closed: the process ended"));
                    }
                } else if !has_left && peer.heard.elapsed() > silence {
                    peer.state = PeerState::Gone;
                    let reason = format!("nothing was heard of it for {} s", silence.as_secs());
                    news.push(self.lost_by(peer.rank, &reason));
                }
            }
        }
        // What was seen here comes before what others say: one that was killed closes all its connections at once.
        let Some(error) = news.first().or(told.first()).cloned() else { return };
        let is_first = {
            let mut state = self.lock();
            let is_first = state.lost.is_none();
            state.lost.get_or_insert_with(|| error.clone());
            is_first
        };
        if let (true, GroupError::RankLost { rank, .. }) = (is_first, error) {
            self.tell(&[&[LOST][..], &(rank as u32).to_le_bytes()].concat());
        }
    }
}

impl Peer {
    /// Reads what has come; whether more may come.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    self.heard = Instant::now();
                    self.unread.extend(&bytes[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

/// Takes the first whole message.
fn next_word(unread: &mut Vec<u8>) -> Option<Word> {
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    let (word, len) = match *unread.first()? {
        GOODBYE => (Word::Goodbye, 1),
        ABANDONED => {
            let len = number(unread.get(1..)?)?;
            let reason = unread.get(5..5 + len)?;
            (Word::Abandoned(String::from_utf8_lossy(reason).into_owned()), 5 + len)
        }
        LOST => (Word::Lost(number(unread.get(1..)?)?), 5),
        _ => (Word::Alive, 1),
    };
    unread.drain(..len);
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::{Word, next_word};

    #[test]
    fn words_are_read_when_they_are_whole() {
        let mut unread = [&b"..a\x03\0\0\0why"[..], b"l\x02\0\0\0", b"g", b"a\x05\0\0\0no"].concat();
        let words: Vec<Word> = std::iter::from_fn(|| next_word(&mut unread)).collect();
        let expected = [Word::Alive, Word::Alive, Word::Abandoned("why".into()), Word::Lost(2), Word::Goodbye];
        assert_eq!(words, expected);
        unread.extend(b"pe!");
        assert_eq!(next_word(&mut unread), Some(Word::Abandoned("nope!".into())));
        assert_eq!(next_word(&mut unread), None);
    }
}
