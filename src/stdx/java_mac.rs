//! Message authentication codes by the names that Java has for them (RFC 2104 with the hashes of FIPS 180-4).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// An algorithm that makes message authentication codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// The algorithms of that many names that are here, for messages: `[HmacSHA256, HmacSHA384, HmacSHA512]`.
pub const NAMES: [&str; 3] = ["HmacSHA256", "HmacSHA384", "HmacSHA512"];

impl MacAlgorithm {
    /// The algorithm of a name, written as Java writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [MacAlgorithm::HmacSha256, MacAlgorithm::HmacSha384, MacAlgorithm::HmacSha512];
        all.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in Java.
    pub fn name(self) -> &'static str {
        match self {
            MacAlgorithm::HmacSha256 => NAMES[0],
            MacAlgorithm::HmacSha384 => NAMES[1],
            MacAlgorithm::HmacSha512 => NAMES[2],
        }
    }

    /// The size of a key in bits if nobody wants another.
    pub fn key_bits(self) -> u32 {
        match self {
            MacAlgorithm::HmacSha256 => 256,
            MacAlgorithm::HmacSha384 => 384,
            MacAlgorithm::HmacSha512 => 512,
        }
    }

    /// The code of a message. Any key will do; a good one is as long as [`MacAlgorithm::key_bits`].
    pub fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            MacAlgorithm::HmacSha256 => fed::<Hmac<Sha256>>(key, message).finalize().into_bytes().to_vec(),
            MacAlgorithm::HmacSha384 => fed::<Hmac<Sha384>>(key, message).finalize().into_bytes().to_vec(),
            MacAlgorithm::HmacSha512 => fed::<Hmac<Sha512>>(key, message).finalize().into_bytes().to_vec(),
        }
    }

    /// Whether `code` is that of the message. Takes as long for a wrong code as for the right one.
    pub fn verify(self, key: &[u8], message: &[u8], code: &[u8]) -> bool {
        match self {
            MacAlgorithm::HmacSha256 => fed::<Hmac<Sha256>>(key, message).verify_slice(code).is_ok(),
            MacAlgorithm::HmacSha384 => fed::<Hmac<Sha384>>(key, message).verify_slice(code).is_ok(),
            MacAlgorithm::HmacSha512 => fed::<Hmac<Sha512>>(key, message).verify_slice(code).is_ok(),
        }
    }
}

impl fmt::Display for MacAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn fed<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> M {
    match <M as KeyInit>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(message),
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    /// Test cases 1, 2, 4 and 6 of RFC 4231: a key shorter than, as long as, and longer than a block.
    #[test]
    fn codes_are_those_of_rfc_4231() {
        let jefe = (b"Jefe".to_vec(), b"what do ya want for nothing?".to_vec());
        let counted = ((1..=25).collect::<Vec<u8>>(), vec![0xcd; 50]);
        let long = (vec![0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec());
        for ((key, message), codes) in [
            (
                (vec![0x0b; 20], b"Hi There".to_vec()),
                [
                    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                ],
            ),
            (
                jefe,
                [
                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                ],
            ),
            (
                counted,
                [
                    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                    "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
                    "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
                ],
            ),
            (
                long,
                [
                    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                    "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
                    "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
                ],
            ),
        ] {
            for (name, code) in NAMES.into_iter().zip(codes) {
                let algorithm = MacAlgorithm::from_name(name).unwrap();
                let mut code = bytes(code);
                assert_eq!(algorithm.sign(&key, &message), code, "{name}");
                assert!(algorithm.verify(&key, &message, &code));
                code[7] ^= 1;
                assert!(!algorithm.verify(&key, &message, &code), "another code");
                code.clear();
                assert!(!algorithm.verify(&key, &message, &code), "no code");
            }
        }
    }

    #[test]
    fn names_are_those_of_java() {
        for name in NAMES {
            assert_eq!(MacAlgorithm::from_name(name).map(MacAlgorithm::name), Some(name));
        }
        for name in ["HmacSHA1", "hmacsha256", "SHA256", ""] {
            assert_eq!(MacAlgorithm::from_name(name), None);
        }
    }
}
