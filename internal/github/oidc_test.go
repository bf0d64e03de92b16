package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRequestIDToken(t *testing.T) {
	t.Parallel()

	t.Run("adds the audience to the address, escaped", func(t *testing.T) {
		t.Parallel()
		for address, want := range map[string]string{
			"https://actions.example/token?api-version=2.0": "api-version=2.0&audience=inhaul.dev%2Fintent%40sha256%3Aaa%26b",
			"https://actions.example/token":                 "audience=inhaul.dev%2Fintent%40sha256%3Aaa%26b",
		} {
			f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) { return 200, nil, `{"value":"a.b.c"}` }}
			token, err := RequestIDToken(t.Context(), address, "bearer-1", "inhaul.dev/intent@sha256:aa&b", f.http())
			if err != nil || token != "a.b.c" {
				t.Fatalf("got %q, %v, want a.b.c", token, err)
			}
			if got := f.requests[0]; got.query != want || got.token != "bearer-1" {
				t.Errorf("got query %s with token %s, want %s", got.query, got.token, want)
			}
		}
	})

	t.Run("tries again when GitHub stumbles", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(n int, _ seen, _ *http.Request) (int, http.Header, string) {
				return []int{0, 503, 429, 200}[n-1], nil, `{"value":"a.b.c"}`
			}}
			if token, err := RequestIDToken(t.Context(), "https://actions.example/", "bearer-1", "x", f.http()); err != nil || token != "a.b.c" {
				t.Errorf("got %q, %v, want a.b.c on the fourth try", token, err)
			}
		})
	})

	t.Run("says which permission is missing", func(t *testing.T) {
		t.Parallel()
		for _, pair := range [][2]string{{"", "bearer"}, {"https://actions.example/", ""}} {
			if _, err := RequestIDToken(t.Context(), pair[0], pair[1], "x", nil); !errors.Is(err, ErrNoIDToken) {
				t.Errorf("got %v, want %v", err, ErrNoIDToken)
			}
		}
	})

	t.Run("shows neither the bearer nor the address in an error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			for _, status := range []int{0, 401, 200} {
				f := &fake{answer: func(_ int, r seen, _ *http.Request) (int, http.Header, string) { return status, nil, "no: " + r.token }}
				_, err := RequestIDToken(t.Context(), "https://actions.example/secret-path", "bearer-1", "x", f.http())
				if err == nil || strings.Contains(err.Error(), "bearer-1") || strings.Contains(err.Error(), "secret-path") {
					t.Errorf("status %d: got %v, want an error without bearer and address", status, err)
				}
			}
		})
	})
}

func TestParsePrivateKeyRefusesOtherThings(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":     "",
		"not PEM":     "secret words",
		"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"broken key":  "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"broken 8":    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"too long":    strings.Repeat("x", maxKeyBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParsePrivateKey([]byte(text)); err == nil || strings.Contains(err.Error(), "secret words") {
				t.Errorf("got %v, want an error that does not quote the key", err)
			}
		})
	}
}
