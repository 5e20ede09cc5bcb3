//! Certificates made for one test run.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl Pair {
    /// One that signs others.
    pub(crate) fn authority(name: &str) -> Self {
        Self::make(name, None)
    }

    /// One for `127.0.0.1`, signed by this authority.
    pub(crate) fn issue(&self, name: &str) -> Self {
        Self::make(name, Some(self))
    }

    fn make(name: &str, issuer: Option<&Pair>) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("O", "herdsman").unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = BigNum::new().unwrap();
        serial.rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        match issuer {
            None => {
                builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
                builder.set_issuer_name(&subject).unwrap();
                builder.sign(&key, MessageDigest::sha256()).unwrap();
            }
            Some(issuer) => {
                let context = builder.x509v3_context(Some(&issuer.certificate), None);
                let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&context).unwrap();
                builder.append_extension(names).unwrap();
                builder.set_issuer_name(issuer.certificate.subject_name()).unwrap();
                builder.sign(&issuer.key, MessageDigest::sha256()).unwrap();
            }
        }
        Pair { certificate: builder.build(), key }
    }

    pub(crate) fn certificate_pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().unwrap()).unwrap()
    }

    pub(crate) fn key_pem(&self) -> String {
        String::from_utf8(self.key.private_key_to_pem_pkcs8().unwrap()).unwrap()
    }

    pub(crate) fn encrypted_key_pem(&self, password: &str) -> String {
        let cipher = openssl::symm::Cipher::aes_256_cbc();
        let pem = self.key.private_key_to_pem_pkcs8_passphrase(cipher, password.as_bytes()).unwrap();
        String::from_utf8(pem).unwrap()
    }

    pub(crate) fn pkcs12(&self, password: &str) -> Vec<u8> {
        let mut store = Pkcs12::builder();
        store.name("worker").pkey(&self.key).cert(&self.certificate);
        store.build2(password).unwrap().to_der().unwrap()
    }
}
