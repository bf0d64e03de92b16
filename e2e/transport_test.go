package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// transport trusts the lab's authority.
func transport(ts *testscript.TestScript) http.RoundTripper {
	roots := x509.NewCertPool()
	bundle, err := os.ReadFile(ts.Getenv("LAB_CA_BUNDLE"))
	ts.Check(err)
	roots.AppendCertsFromPEM(bundle)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
}
