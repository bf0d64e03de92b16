package github

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// registered is what GitHub answers at the end of a registration.
func registered(t *testing.T, id int64, key string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"id": id, "slug": "inhaul-acme", "html_url": "https://github.com/apps/inhaul-acme", "pem": key,
		"webhook_secret": nil, "client_secret": "s3cret",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func testPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testKey())}))
}

func anonymous(t *testing.T, f *fake) *Client {
	t.Helper()
	c, err := NewAnonymous(TokenConfig{HTTP: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACodeIsExchangedForTheApp(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) {
		return http.StatusCreated, nil, registered(t, 4242, testPEM())
	}}
	got, err := anonymous(t, f).ConvertManifest(t.Context(), "a180b1a3d263c81bc6441d7b990bae27d4c10679")
	if err != nil {
		t.Fatal(err)
	}
	if want := (RegisteredApp{4242, "inhaul-acme", "https://github.com/apps/inhaul-acme", testPEM()}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if r := f.requests[0]; r.method != "POST" || r.path != "/app-manifests/a180b1a3d263c81bc6441d7b990bae27d4c10679/conversions" || r.token != "" {
		t.Errorf("got %+v, want the exchange, without any credential", r)
	}
}

func TestACodeIsExchangedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"the answer is lost":        {0, "", "did not arrive"},
		"GitHub is out of order":    {502, "", "did not arrive"},
		"the code is unknown":       {404, `{"message": "Not Found"}`, "GitHub answered 404 Not Found"},
		"the answer has no key":     {201, `{"id": 1}`, "no PEM block"},
		"the answer has no id":      {201, `{"pem": "x"}`, "got the App id 0"},
		"the answer is not for one": {201, `[]`, "decoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) { return c.status, nil, c.body }}
				_, err := anonymous(t, f).ConvertManifest(t.Context(), "c0de")
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "c0de") || len(f.requests) != 1 {
					t.Errorf("got %v after %d requests, want %q after one, without the code", err, len(f.requests), c.want)
				}
			})
		})
	}
}

func TestACodeLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	f := &fake{}
	for _, code := range []string{"", "..", "a/b", "a?b", "a%2fb", "a\n", strings.Repeat("a", 257)} {
		if _, err := anonymous(t, f).ConvertManifest(t.Context(), code); err == nil || len(f.requests) > 0 {
			t.Errorf("%q: got %v and %d requests, want it refused", code, err, len(f.requests))
		}
	}
}

func TestARepositoryHasNumbers(t *testing.T) {
	t.Parallel()
	answers := map[string]string{"/repos/acme/shop": `{"id": 7, "owner": {"id": 8}}`, "/repos/acme/odd": `{"id": 7}`}
	f := &fake{answer: func(_ int, r seen, _ *http.Request) (int, http.Header, string) {
		if body, ok := answers[r.path]; ok {
			return http.StatusOK, nil, body
		}
		return http.StatusNotFound, nil, `{"message": "Not Found"}`
	}}
	c := anonymous(t, f)
	if got, err := c.RepositoryNumbers(t.Context(), "acme/shop"); err != nil || got.ID != 7 || got.Owner.ID != 8 {
		t.Errorf("got %+v and %v, want 7 and 8", got, err)
	}
	for _, name := range []string{"acme/odd", "acme/private", "acme", "acme/../x"} {
		if _, err := c.RepositoryNumbers(t.Context(), name); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
