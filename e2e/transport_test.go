package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// transport trusts the lab's authority.
func transport(ts *testscript.TestScript) http.RoundTripper {
	t, err := trust(ts.Getenv("LAB_CA_BUNDLE"))
	ts.Check(err)
	return t
}

// trusting is transport for plain tests.
func trusting(t *testing.T, bundle string) http.RoundTripper {
	t.Helper()
	transport, err := trust(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return transport
}

func trust(bundle string) (http.RoundTripper, error) {
	data, err := os.ReadFile(bundle)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}
