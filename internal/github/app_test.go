package github

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
)

func TestParsePrivateKeyReadsBothForms(t *testing.T) {
	t.Parallel()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(testKey()), "PRIVATE KEY": pkcs8} {
		key, err := ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if err != nil || !key.Equal(testKey()) {
			t.Errorf("%s: got %v, want the same key", kind, err)
		}
	}
}
