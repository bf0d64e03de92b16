package cluster

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc==\n-----END RSA PRIVATE KEY-----"
	tests := map[string]struct{ text, want string }{
		"a GitHub token":             {"clone with ghp_0123456789abcdefABCDEF0123456789abcd now", "clone with [redacted] now"},
		"a stateless GitHub token":   {"ghs_1234_eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl", "[redacted]"},
		"a fine-grained token":       {"github_pat_11ABCDEFG0123456789_abc", "[redacted]"},
		"an AWS key id":              {"key AKIAIOSFODNN7EXAMPLE used", "key [redacted] used"},
		"an AWS secret by its name":  {"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=[redacted]"},
		"a JWT":                      {"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln.", "got [redacted]"},
		"a password":                 {"password=hunter2 user=bob", "password=[redacted] user=bob"},
		"a quoted password":          {`password="hunter 2" user=bob`, `password=[redacted] user=bob`},
		"a password in JSON":         {`{"db_password": "hunter\" 2", "user": "bob"}`, `{"db_password": [redacted], "user": "bob"}`},
		"a password in JSON in JSON": {`"{\"password\":\"hunter2\"}"`, `"{\"password\":[redacted]\"}"`},
		"a password in YAML":         {"dbPassword: hunter2\nuser: bob", "dbPassword: [redacted]\nuser: bob"},
		"a password in Ruby":         {`:secret_key_base=>"abc"`, `:secret_key_base=>[redacted]`},
		"a token in a query":         {"GET /x?api_key=abcdef&y=1", "GET /x?api_key=[redacted]&y=1"},
		"an authorization header":    {"Authorization: Bearer abcdef0123456789", "Authorization: Bearer [redacted]"},
		"a URL with a password":      {"postgres://app:hunter2@db:5432/app", "postgres://[redacted]@db:5432/app"},
		"a URL with an odd password": {"redis://:p@ss:w@cache:6379", "redis://[redacted]@cache:6379"},
		"a URL with a user":          {"https://token@example.com/x", "https://[redacted]@example.com/x"},
		"a private key":              {"before\n" + key + "\nafter", "before\n[redacted]\nafter"},
		"half a private key":         {"before\n" + key[:40], "before\n[redacted]"},
		"two keys":                   {key + " and " + key, "[redacted] and [redacted]"},
		"nothing":                    {"listening on http://0.0.0.0:8080/healthz?x=1", "listening on http://0.0.0.0:8080/healthz?x=1"},
		"a word about passwords":     {"password authentication failed for user bob", "password authentication failed for user bob"},
		"a mail address":             {"mail to bob@example.com failed", "mail to bob@example.com failed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := redact(test.text)
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if again := redact(got); again != got {
				t.Errorf("a second time changes it: %q", again)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("password=", "x")
	f.Fuzz(func(t *testing.T, before, after string) {
		const token = "ghp_0123456789abcdefABCDEF0123456789abcd"
		if got := redact(before + " " + token + " " + after); strings.Contains(got, token) {
			t.Errorf("token left in %q", got)
		}
	})
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	if got, want := printable("\x1b[31mred\x1b[0m\r\n\ttab\x00 \xff\n\n"), "red\n\ttab \uFFFD"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		got, want string
	}{
		{cut("short", 5), "short"},
		{cut("too long", 6), "too…"},
		{cut("üüüü", 7), "üü…"},
		{cutHead("short", 5), "short"},
		{cutHead("first\nsecond\nthird", 12), "…\nthird"},
		{cutHead("oneverylongline", 8), "…\nline"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
