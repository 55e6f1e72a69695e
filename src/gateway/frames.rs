//! Where one WebSocket frame ends and the next begins (RFC 6455 section 5.2): only there can a frame of ours be put in.

/// Status 1008, *policy violation* (RFC 6455 section 7.4.1), in a close frame without a reason.
pub(super) const CLOSE_POLICY_VIOLATION: &[u8] = &[0x88, 0x02, 0x03, 0xF0];

/// Opcode, lengths of every size, and a mask: the longest head of a frame.
const LONGEST_HEAD: usize = 14;
const OPCODE: u8 = 0x0F;
const CLOSE: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7F;

/// A stream of frames, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; LONGEST_HEAD],
    /// Bytes of the head at hand; none between two frames.
    seen: usize,
    /// Bytes of the payload still to come.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Whether the last byte seen was the last of its frame.
    #[must_use]
    pub(super) const fn at_boundary(&self) -> bool {
        self.seen == 0 && self.left == 0
    }

    /// Whether the sender has said that it sends no more: after a close frame nothing may follow.
    #[must_use]
    pub(super) const fn are_closed(&self) -> bool {
        self.closed
    }

    /// Sees `bytes`.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.step(bytes);
            bytes = &bytes[used..];
        }
    }

    /// Sees `bytes` as far as the frame at hand goes; how many that are.
    pub(super) fn finish_frame(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() && !self.at_boundary() {
            used += self.step(&bytes[used..]);
        }
        used
    }

    /// Sees at least one byte of `bytes`, and never past the end of a frame.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let used = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= used as u64;
            return used;
        }
        self.head[self.seen] = bytes[0];
        self.seen += 1;
        if self.seen >= 2 && self.seen == self.head_length() {
            self.closed |= self.head[0] & OPCODE == CLOSE;
            self.left = self.payload_length();
            self.seen = 0;
        }
        1
    }

    const fn head_length(&self) -> usize {
        let extended = match self.head[1] & LENGTH {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & MASKED == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn payload_length(&self) -> u64 {
        let extended: &[u8] = match self.head[1] & LENGTH {
            126 => &self.head[2..4],
            127 => &self.head[2..10],
            short => return u64::from(short),
        };
        extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xFFFF => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(0x88, if masked { 4 } else { 0 } + length));
        frame
    }

    #[test]
    fn a_boundary_is_found_however_the_frames_are_cut() {
        for length in [0, 1, 125, 126, 300, 0xFFFF, 0x1_0000] {
            for masked in [false, true] {
                let frame = frame(1, length, masked);
                for step in [1, 2, 3, 7, 4096, frame.len()] {
                    let mut frames = Frames::default();
                    for (index, piece) in frame.chunks(step).enumerate() {
                        assert!(index == 0 || !frames.at_boundary(), "{length} {masked} by {step}");
                        frames.advance(piece);
                    }
                    assert!(frames.at_boundary() && !frames.are_closed(), "{length} {masked} by {step}");
                }
            }
        }
    }

    #[test]
    fn only_the_frame_at_hand_is_finished() {
        let mut frames = Frames::default();
        assert_eq!(frames.finish_frame(b"\x81\x01x"), 0, "none is at hand");
        frames.advance(b"\x81\x05ab");
        assert_eq!(frames.finish_frame(b"cde\x81\x01x"), 3);
        frames.advance(b"\x82\x7e");
        let long = [&[1, 0][..], &[0; 256], &[0x88, 0]].concat();
        assert_eq!(frames.finish_frame(&long), 258);
        assert!(frames.at_boundary());
    }

    #[test]
    fn a_close_frame_is_the_last() {
        let mut frames = Frames::default();
        frames.advance(&[frame(9, 3, false), frame(1, 200, false)].concat());
        assert!(!frames.are_closed());
        frames.advance(CLOSE_POLICY_VIOLATION);
        assert!(frames.at_boundary() && frames.are_closed());
    }
}
