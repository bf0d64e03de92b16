package authority

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestServingCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	ca, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.1", "localhost"}
	verify := func(certFile, keyFile string, at time.Time) []byte {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		root, err := os.ReadFile(ca.CertFile())
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(root)
		for _, host := range hosts {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: at}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
		return pair.Leaf.Raw
	}
	certFile, keyFile, err := ca.Serve("registry", hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	first := verify(certFile, keyFile, now)

	again, err := Open(dir, now) // a later start
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := again.Serve("registry", hosts, now); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, verify(certFile, keyFile, now)) {
		t.Error("a valid certificate was replaced")
	}
	hosts = append(hosts, "10.246.0.1")
	later := now.Add(3 * year)
	for _, c := range []struct {
		name string
		at   time.Time
	}{{"another host", now}, {"expiry", later}, {"a clock that was set back", now}} {
		if _, _, err := again.Serve("registry", hosts, c.at); err != nil {
			t.Fatal(err)
		}
		next := verify(certFile, keyFile, c.at)
		if bytes.Equal(first, next) {
			t.Errorf("%s: the certificate was kept", c.name)
		}
		first = next
	}
}

func TestBundleHasTheSystemsRootsAndOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := Open(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	system := filepath.Join(dir, "system.pem")
	if err := os.WriteFile(system, []byte("SYSTEM"), 0o644); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, "bundle.crt")
	if err := ca.WriteBundle(bundle, []string{"", filepath.Join(dir, "none"), system}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(ca.CertFile())
	if err != nil || !bytes.HasPrefix(got, []byte("SYSTEM\n")) || !bytes.HasSuffix(got, own) {
		t.Errorf("got %q (%v)", got, err)
	}
}
