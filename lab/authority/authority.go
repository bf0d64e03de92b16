// Package authority is the lab's own certificate authority: one CA per state
// directory, and serving certificates for the registry and the API server.
package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	caYears   = 10
	leafYears = 2
	year      = 365 * 24 * time.Hour
	// backdate covers clocks that differ a little between machines.
	backdate = time.Hour
)

// Authority signs serving certificates.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open loads the authority kept in dir (ca.crt, ca.key) and makes it first if
// it is not there.
func Open(dir string, now time.Time) (*Authority, error) {
	a := &Authority{dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of certificates: %w", err)
	}
	cert, key, err := load(a.CertFile(), filepath.Join(dir, "ca.key"))
	switch {
	case err == nil && now.Before(cert.NotAfter):
		a.cert, a.key = cert, key
		return a, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("loading the certificate authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "inhaul lab"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caYears * year),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.cert, a.key, err = create(dir, "ca", template, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	return a, nil
}

// CertFile is the path of the authority's certificate, PEM.
func (a *Authority) CertFile() string { return filepath.Join(a.dir, "ca.crt") }

// Serve returns the paths of a serving certificate and its key for the given
// names and addresses. One kept from earlier is used again while it is valid,
// covers the hosts and was signed by this authority.
func (a *Authority) Serve(name string, hosts []string, now time.Time) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	if cert, _, err := load(certFile, keyFile); err == nil && covers(cert, hosts) &&
		!now.Before(cert.NotBefore) && now.Before(cert.NotAfter) && cert.CheckSignatureFrom(a.cert) == nil {
		return certFile, keyFile, nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafYears * year),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if _, _, err := create(a.dir, name, template, a.cert, a.key); err != nil {
		return "", "", fmt.Errorf("making the certificate of %s: %w", name, err)
	}
	return certFile, keyFile, nil
}

// WriteBundle writes path: the system's roots, if one of their usual files
// exists, followed by this authority.
func (a *Authority) WriteBundle(path string, systemFiles []string) error {
	var bundle bytes.Buffer
	for _, file := range systemFiles {
		if roots, err := os.ReadFile(file); err == nil {
			bundle.Write(roots)
			bundle.WriteByte('\n')
			break
		}
	}
	own, err := os.ReadFile(a.CertFile())
	if err != nil {
		return fmt.Errorf("reading the authority's certificate: %w", err)
	}
	bundle.Write(own)
	if err := os.WriteFile(path, bundle.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the bundle of certificates: %w", err)
	}
	return nil
}

func covers(cert *x509.Certificate, hosts []string) bool {
	for _, host := range hosts {
		if cert.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// create makes a key and a certificate signed by parent (itself if nil) and
// stores both as name.crt and name.key, the certificate last.
func create(dir, name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, signer = template, key
	}
	const serialBits = 120 // RFC 5280 allows at most 20 octets
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)); err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(filepath.Join(dir, name+".key"), keyPEM, 0o600); err != nil {
		return nil, nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, name+".crt"), certPEM, 0o644); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func load(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("no PEM block in %s or %s", certFile, keyFile)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("key of %s: got %T, want ECDSA", keyFile, parsed)
	}
	return cert, key, nil
}
