//! One authority for a cluster, and the certificates and kubeconfigs that its parts need. They live as long as the
//! cluster's folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// A cluster's authority and the folder of its files.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) folder: PathBuf,
    authority: Issuer<'static, KeyPair>,
    pub(crate) authority_pem: String,
}

impl Pki {
    /// Makes an authority and the key that signs the tokens of pods.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("boboyka-tests", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        let authority_pem = params.self_signed(&key)?.pem();
        std::fs::write(folder.join("ca.crt"), &authority_pem)?;
        std::fs::write(folder.join("ca.key"), key.serialize_pem())?;
        let tokens = KeyPair::generate()?;
        std::fs::write(folder.join("sa.key"), tokens.serialize_pem())?;
        std::fs::write(folder.join("sa.pub"), tokens.public_key_pem())?;
        Ok(Self {
            folder: folder.to_owned(),
            authority: Issuer::new(params, key),
            authority_pem,
        })
    }

    /// A server's certificate and key, as PEM.
    pub(crate) fn server_pem(&self, names: &[&str]) -> Result<(String, String)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = name("server", None);
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A server's certificate, as FILE.crt and FILE.key.
    pub(crate) fn server(&self, file: &str, names: &[&str]) -> Result<()> {
        let pair = self.server_pem(names)?;
        self.write(file, &pair)
    }

    /// A client's certificate, as FILE.crt and FILE.key.
    pub(crate) fn client(&self, file: &str, common_name: &str, group: Option<&str>) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name, group);
        let pair = self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)?;
        self.write(file, &pair)
    }

    /// A client's certificate and its kubeconfig, FILE.kubeconfig.
    pub(crate) fn kubeconfig(
        &self,
        file: &str,
        server: &str,
        user: &str,
        group: Option<&str>,
    ) -> Result<PathBuf> {
        self.client(file, user, group)?;
        let folder = self.folder.display();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: boboyka\n\
             clusters: [{{name: boboyka, cluster: {{server: \"{server}\", certificate-authority: {folder}/ca.crt}}}}]\n\
             users: [{{name: user, user: {{client-certificate: {folder}/{file}.crt, client-key: {folder}/{file}.key}}}}]\n\
             contexts: [{{name: boboyka, context: {{cluster: boboyka, user: user}}}}]\n"
        );
        let path = self.folder.join(format!("{file}.kubeconfig"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(String, String)> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn write(&self, file: &str, (certificate, key): &(String, String)) -> Result<()> {
        std::fs::write(self.folder.join(format!("{file}.crt")), certificate)?;
        std::fs::write(self.folder.join(format!("{file}.key")), key)?;
        Ok(())
    }
}

fn name(common_name: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, common_name);
    name
}
