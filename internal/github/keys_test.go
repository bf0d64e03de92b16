package github

import (
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const testIssuer = "https://token.example"

func jwks(t *testing.T, kids ...string) string {
	t.Helper()
	set := jose.JSONWebKeySet{}
	for _, kid := range kids {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: &testKey().PublicKey, KeyID: kid, Algorithm: "RS256", Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// issuer answers discovery, and the key set with keys(n) on the n-th request.
func issuer(keys func(n int) string) *fake {
	return &fake{answer: func(n int, r seen, _ *http.Request) (int, http.Header, string) {
		if r.path == "/.well-known/openid-configuration" {
			return 200, nil, `{"issuer":"` + testIssuer + `","jwks_uri":"` + testIssuer + `/jwks"}`
		}
		text := keys(n)
		if text == "" {
			return 500, nil, ""
		}
		return 200, nil, text
	}}
}

func kids(set jose.JSONWebKeySet) string {
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.KeyID)
	}
	return strings.Join(ids, " ")
}

func TestKeys(t *testing.T) {
	t.Parallel()

	t.Run("are cached, refreshed at most once a minute, and kept after rotation", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := issuer(func(n int) string { return jwks(t, []string{"k1", "k2", "k3"}[min(n, 3)-1]) })
			keys := NewKeys(testIssuer+"/", KeysConfig{HTTP: f.http()})
			for i, step := range []struct {
				wait    time.Duration
				refresh bool
				want    string
			}{
				{0, false, "k1"},
				{9 * time.Minute, false, "k1"},
				{0, true, "k1 k2"},
				{59 * time.Second, true, "k1 k2"},
				{9*time.Minute + 2*time.Second, false, "k1 k2 k3"},
			} {
				time.Sleep(step.wait)
				get := keys.Set
				if step.refresh {
					get = keys.Refresh
				}
				set, err := get(t.Context())
				if err != nil || kids(set) != step.want {
					t.Fatalf("step %d: got %q, %v, want %q", i, kids(set), err, step.want)
				}
			}
		})
	})

	t.Run("survive an issuer that is down", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := issuer(func(n int) string {
				if n > 1 {
					return ""
				}
				return jwks(t, "k1")
			})
			keys := NewKeys(testIssuer, KeysConfig{HTTP: f.http()})
			for range 2 {
				if set, err := keys.Set(t.Context()); err != nil || kids(set) != "k1" {
					t.Fatalf("got %q, %v, want k1", kids(set), err)
				}
				time.Sleep(time.Hour)
			}
		})
	})

	t.Run("say at a refresh that the issuer could not be asked, and what it says later", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			served := jwks(t, "k1")
			f := issuer(func(int) string { return served })
			keys := NewKeys(testIssuer, KeysConfig{HTTP: f.http()})
			if _, err := keys.Set(t.Context()); err != nil {
				t.Fatal(err)
			}
			served = "" // down
			time.Sleep(2 * time.Minute)
			for range 2 { // the second one is too soon to ask again
				if set, err := keys.Refresh(t.Context()); err == nil {
					t.Fatalf("got %q and no error while the issuer is down", kids(set))
				}
				time.Sleep(time.Second)
			}
			served = jwks(t, "k2")
			time.Sleep(time.Minute)
			if set, err := keys.Refresh(t.Context()); err != nil || kids(set) != "k1 k2" {
				t.Fatalf("got %q, %v, want k1 k2", kids(set), err)
			}
		})
	})

	t.Run("come back soon after a bad start", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := issuer(func(n int) string {
				if n <= maxTries {
					return ""
				}
				return jwks(t, "k1")
			})
			keys := NewKeys(testIssuer, KeysConfig{HTTP: f.http()})
			for range 2 {
				if _, err := keys.Set(t.Context()); err == nil {
					t.Fatal("got no error from an issuer that is down")
				}
			}
			if got := len(f.to(http.MethodGet, "/jwks")); got != maxTries {
				t.Errorf("got %d requests, want %d", got, maxTries)
			}
			time.Sleep(keysRetrySpacing)
			if set, err := keys.Set(t.Context()); err != nil || kids(set) != "k1" {
				t.Errorf("got %q, %v, want k1", kids(set), err)
			}
		})
	})

	t.Run("exclude everything that must not verify a signature", func(t *testing.T) {
		t.Parallel()
		short, err := json.Marshal(jose.JSONWebKey{Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}, KeyID: "short"})
		if err != nil {
			t.Fatal(err)
		}
		private, err := json.Marshal(jose.JSONWebKey{Key: testKey(), KeyID: "private"})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(jwks(t, "good", ""), `{"keys":[`, `{"keys":[{"kty":"oct","kid":"symmetric","k":"c2VjcmV0"},`+
			`{"kty":"new","kid":"unknown"},{"kty":"RSA","use":"enc","kid":"encryption","n":"AQAB","e":"AQAB"},`+string(short)+","+string(private)+",", 1)
		set, err := NewKeys(testIssuer, KeysConfig{HTTP: issuer(func(int) string { return text }).http()}).Set(t.Context())
		if err != nil || kids(set) != "good" {
			t.Errorf("got %q, %v, want good", kids(set), err)
		}
	})
}

func TestKeysRefuseABadIssuer(t *testing.T) {
	t.Parallel()
	for name, discovery := range map[string]string{
		"another issuer":     `{"issuer":"https://evil.example","jwks_uri":"https://evil.example/jwks"}`,
		"an issuer below":    `{"issuer":"` + testIssuer + `/sub","jwks_uri":"` + testIssuer + `/jwks"}`,
		"keys without TLS":   `{"issuer":"` + testIssuer + `","jwks_uri":"http://token.example/jwks"}`,
		"keys from a file":   `{"issuer":"` + testIssuer + `","jwks_uri":"file:///etc/jwks"}`,
		"no address of keys": `{"issuer":"` + testIssuer + `"}`,
		"garbage":            `<html>`,
		"too much":           strings.Repeat(" ", maxBodyBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: func(_ int, r seen, _ *http.Request) (int, http.Header, string) {
				if r.path == "/jwks" {
					return 200, nil, jwks(t, "k1")
				}
				return 200, nil, discovery
			}}
			if set, err := NewKeys(testIssuer, KeysConfig{HTTP: f.http()}).Set(t.Context()); err == nil {
				t.Errorf("got keys %q, want an error", kids(set))
			}
		})
	}
}
