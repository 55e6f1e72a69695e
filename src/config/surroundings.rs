//! What a configuration refers to outside itself: secrets, certificates, paths.

use std::cell::Cell;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Purpose;
use super::keys;
use super::raw::{Item, Section};
use super::source::Source;
use crate::page::Icon;
use crate::secret::Secret;

/// Where the configuration stands, and what it is read for.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Relative paths start here: the folder of the main file.
    folder: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts the credentials of a unit (`systemd.exec(5)`).
    credentials: Option<PathBuf>,
    purpose: Purpose,
    /// The rank of the next file of values: they come after every file of the configuration.
    next_rank: Cell<usize>,
}

const FIRST_RANK_OF_VALUES: usize = 1 << 20;

impl Surroundings {
    pub(super) fn of(file: &Path, purpose: Purpose) -> Self {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { folder, credentials, purpose, next_rank: Cell::new(FIRST_RANK_OF_VALUES) }
    }

    /// The path that `item` holds.
    pub(super) fn path(&self, item: &Item<'_>) -> Option<PathBuf> {
        item.filled().map(|path| self.folder.join(path))
    }

    /// The file of values that `item` names, as a source of its own.
    pub(super) fn values(&self, item: &Item<'_>) -> Option<Arc<Source>> {
        let path = self.path(item)?;
        let unreadable = |error| item.report(item.error(format!("cannot read {}: {error}", path.display())));
        let text = fs::read_to_string(&path).map_err(unreadable).ok()?;
        let rank = self.next_rank.get();
        self.next_rank.set(rank + 1);
        Some(Source::new(&path, rank, text))
    }

    /// The certificates of the PEM file that `item` names, each fit to be trusted.
    pub(super) fn authorities(&self, item: &Item<'_>) -> Option<Vec<CertificateDer<'static>>> {
        let path = self.path(item)?;
        let certificates = read_authorities(&path);
        let refused = |error: String| item.report(item.error(format!("cannot use `{}`", item.key())).label(error));
        certificates.map_err(refused).ok()
    }

    /// The icon in the file that `item` names.
    pub(super) fn icon(&self, item: &Item<'_>) -> Option<Arc<Icon>> {
        let path = self.path(item)?;
        let refused = |error: String| {
            let unusable = item.error(format!("cannot use `{}`", item.key())).label(error);
            item.report(unusable.help("it is a file on this machine: the gateway serves it itself"));
        };
        read_icon(&path).map_err(refused).map(Arc::new).ok()
    }

    /// The secret that `item` describes. It is empty where it is a credential that only the unit can read, and the
    /// configuration is only checked.
    pub(super) fn secret(&self, item: &Item<'_>) -> Option<Secret<Vec<u8>>> {
        if !item.is_table() {
            item.report(item.error(format!("`{}` is not written as such", item.key())).help(
                "write { credential = \"…\" }, { file = \"…\" } or { env = \"…\" }, or { value = \"…\" } for tests",
            ));
            return None;
        }
        let section = item.section(&keys::SECRET)?;
        section.refuse_unknown_keys();
        let forms: Vec<Item<'_>> = section.items().filter(|form| keys::SECRET.keys.contains(&form.key())).collect();
        let [form] = forms.as_slice() else {
            item.report(item.error(format!("`{}` is one of credential, file, env, value", item.key())));
            return None;
        };
        self.read_form(item, &section, form)
    }

    /// The secret under `item`, as text.
    pub(super) fn text_secret(&self, item: &Item<'_>) -> Option<Secret<String>> {
        let bytes = self.secret(item)?;
        let text = String::from_utf8(bytes.expose().clone()).map(Secret::new);
        text.map_err(|_| item.report(item.error(format!("`{}` is not UTF-8", item.key())))).ok()
    }

    fn read_form(&self, item: &Item<'_>, section: &Section<'_>, form: &Item<'_>) -> Option<Secret<Vec<u8>>> {
        let text = form.filled()?;
        let bytes = match form.key() {
            "credential" => return self.credential(item, form, text),
            "env" => std::env::var_os(text)
                .map(std::os::unix::ffi::OsStringExt::into_vec)
                .ok_or_else(|| "this variable is not set".to_owned()),
            "file" => {
                warn_of_readers(form, &self.folder.join(text));
                read(&self.folder.join(text))
            }
            _ => {
                let literal = format!("`{}` holds a literal secret", item.key());
                section.report().push(form.warning(literal).help("keep it out of this file: { credential = \"…\" }"));
                Ok(text.as_bytes().to_vec())
            }
        };
        not_empty(item, form, bytes)
    }

    fn credential(&self, item: &Item<'_>, form: &Item<'_>, name: &str) -> Option<Secret<Vec<u8>>> {
        if name.contains('/') || name == ".." {
            item.report(form.error("a credential has a name, not a path"));
            return None;
        }
        if let Some(folder) = &self.credentials {
            return not_empty(item, form, read(&folder.join(name)));
        }
        let title = format!("credential `{name}` cannot be read here");
        let help = format!("systemd hands it to the unit: LoadCredential={name}:/path/to/{name}");
        match self.purpose {
            Purpose::Check => item.report(form.warning(title).help(help)),
            Purpose::Run => item.report(form.error(title).label("CREDENTIALS_DIRECTORY is not set").help(help)),
        }
        (self.purpose == Purpose::Check).then(|| Secret::new(Vec::new()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Drops one newline at the end, which editors and `echo` add.
fn not_empty(item: &Item<'_>, form: &Item<'_>, bytes: Result<Vec<u8>, String>) -> Option<Secret<Vec<u8>>> {
    let without_newline = bytes.map(|mut bytes| {
        if bytes.ends_with(b"\n") {
            bytes.pop();
            bytes.pop_if(|last| *last == b'\r');
        }
        bytes
    });
    let filled =
        without_newline.and_then(|bytes| if bytes.is_empty() { Err("it is empty".to_owned()) } else { Ok(bytes) });
    let refused = |error: String| item.report(form.error(format!("cannot read `{}`", item.key())).label(error));
    filled.map(Secret::new).map_err(refused).ok()
}

fn warn_of_readers(form: &Item<'_>, path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let open = format!("everyone on this machine can read or change {}", path.display());
        form.report(form.warning(open).help("give it to the gateway's own user, with mode 0600"));
    }
}

/// Not more of the file than an icon may have: it could be anything.
fn read_icon(path: &Path) -> Result<Icon, String> {
    let unreadable = |error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(Icon::MOST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Icon::new(bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error| format!("cannot read {}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(unreadable)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let unfit = |error| format!("{} holds a certificate that cannot be used: {error}", path.display());
        store.add(certificate.clone()).map_err(unfit)?;
    }
    if store.is_empty() { Err(format!("{} holds no certificate", path.display())) } else { Ok(certificates) }
}
