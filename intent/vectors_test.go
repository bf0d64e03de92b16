package intent

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var update = flag.Bool("update", false, "write the vectors that are not there yet")

// vector is one file of testdata/vectors. Any implementation of the format can
// run them; docs/intent-format.md says how.
type vector struct {
	Expect  string    `json:"expect"` // "ok", or the text of one of the errors
	Why     string    `json:"why"`
	Now     time.Time `json:"now"`
	Issuers []struct {
		URL  string             `json:"url"`
		Keys jose.JSONWebKeySet `json:"keys"`
	} `json:"issuers"`
	Keys     []string `json:"keys"`     // PEM
	Envelope string   `json:"envelope"` // the exact bytes, base64
	Digest   string   `json:"digest,omitempty"`
}

func outcomes() map[string]error {
	all := map[string]error{"ok": nil}
	for _, err := range []error{
		ErrTooLarge, ErrMalformed, ErrUnknownField, ErrUnsigned, ErrSignature, ErrUnknownKey, ErrIssuer,
		ErrAudience, ErrClaims, ErrStale, ErrExpired, ErrNotYetValid,
	} {
		all[err.Error()] = err
	}
	return all
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("got %d vectors (%v), want at least 30", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		seen[v.Expect] = true
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { run(t, v) })
	}
	for expect := range outcomes() {
		if !seen[expect] {
			t.Errorf("no vector expects %q", expect)
		}
	}
}

func run(t *testing.T, v vector) {
	t.Helper()
	want, known := outcomes()[v.Expect]
	if !known {
		t.Fatalf("unknown expectation %q", v.Expect)
	}
	envelope, err := base64.StdEncoding.DecodeString(v.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	trust := Trust{}
	for _, issuer := range v.Issuers {
		trust.Issuers = append(trust.Issuers, Issuer{URL: issuer.URL, Keys: issuer.Keys})
	}
	for _, text := range v.Keys {
		key, err := ParsePublicKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		trust.Keys = append(trust.Keys, key)
	}
	verified, err := Verify(envelope, trust, v.Now)
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Fatalf("%s: got error %v, want %v", v.Why, err, want)
	}
	if verified.Digest() != v.Digest {
		t.Errorf("got digest %q, want %q", verified.Digest(), v.Digest)
	}
}

// writeVectors writes the vectors that are not there yet. Those that are stay as
// they are, byte by byte: they are what other implementations were checked with.
func writeVectors(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll("testdata/vectors", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, v := range makeVectors(t) {
		file := filepath.Join("testdata/vectors", name+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func makeVectors(t *testing.T) map[string]vector {
	t.Helper()
	gh := newGitHub(t, "key-1")
	edPrivate, edPublic := newEd25519(t)
	ecPrivate, ecPublic := newP256(t)
	strangerPrivate, _ := newEd25519(t)
	vectors := map[string]vector{}
	add := func(name, expect, why string, now time.Time, envelope []byte) {
		v := vector{Expect: expect, Why: why, Now: now, Keys: []string{string(edPublic), string(ecPublic)}, Envelope: base64.StdEncoding.EncodeToString(envelope)}
		v.Issuers = append(v.Issuers, struct {
			URL  string             `json:"url"`
			Keys jose.JSONWebKeySet `json:"keys"`
		}{testIssuer, gh.issuer().Keys})
		if e, err := Decode(envelope); err == nil && expect == "ok" {
			v.Digest = e.Digest()
		}
		vectors[name] = v
	}
	soon := noon().Add(10 * time.Second)
	base := push()
	token := func(changes map[string]any) Signer { return gh.signer(t, claims(base.Predicate.Source), changes) }
	good := sign(t, base, token(nil))
	edGood := sign(t, base, keySigner(t, edPrivate))

	add("github-push", "ok", "a push signed by its run's token", soon, good)
	add("github-push-read-late", "ok", "the token itself expired hours ago; the intent did not", noon().Add(20*time.Hour), good)
	add("ed25519-push", "ok", "signed by a pinned ed25519 key", soon, edGood)
	add("p256-push", "ok", "signed by a pinned P-256 key", soon, sign(t, base, keySigner(t, ecPrivate)))
	rollback := base
	rollback.Predicate.Kind, rollback.Predicate.Spec, rollback.Predicate.RollbackTo = Rollback, nil, 3
	add("github-rollback", "ok", "back to release 3", soon, sign(t, New("", rollback.Predicate), token(nil)))
	destroy := base
	destroy.Predicate.Kind, destroy.Predicate.Spec = Destroy, nil
	add("github-destroy", "ok", "an environment goes away", soon, sign(t, New("", destroy.Predicate), token(nil)))

	add("expired", ErrExpired.Error(), "a second after expiresAt", base.Predicate.ExpiresAt.Add(time.Second), good)
	add("ed25519-expired", ErrExpired.Error(), "a second after expiresAt", base.Predicate.ExpiresAt.Add(time.Second), edGood)
	add("from-the-future", ErrNotYetValid.Error(), "issued six minutes from now", noon().Add(-6*time.Minute), good)
	add("token-too-old", ErrStale.Error(), "an older token of the same audience", soon, sign(t, base, token(map[string]any{"iat": noon().Unix() - 301})))
	add("token-too-new", ErrStale.Error(), "a later token for a backdated intent", soon, sign(t, base, token(map[string]any{"iat": noon().Unix() + 301})))
	add("token-without-iat", ErrStale.Error(), "no iat", soon, sign(t, base, token(map[string]any{"iat": nil})))
	add("stranger-key", ErrUnknownKey.Error(), "a key nobody pinned", soon, sign(t, base, keySigner(t, strangerPrivate)))
	add("unknown-token-key", ErrUnknownKey.Error(), "a kid that the issuer does not have", soon,
		sign(t, base, newGitHub(t, "key-2").signer(t, claims(base.Predicate.Source), nil)))
	add("forged-token", ErrSignature.Error(), "somebody else's key under the issuer's kid", soon,
		sign(t, base, newGitHub(t, "key-1").signer(t, claims(base.Predicate.Source), nil)))
	add("other-issuer", ErrIssuer.Error(), "a token of another provider", soon, sign(t, base, token(map[string]any{"iss": "https://gitlab.com"})))
	add("issuer-with-slash", ErrIssuer.Error(), "nearly the issuer", soon, sign(t, base, token(map[string]any{"iss": testIssuer + "/"})))
	add("audience-of-sts", ErrAudience.Error(), "the token that opens the cloud", soon, sign(t, base, token(map[string]any{"aud": "sts.amazonaws.com"})))
	add("audience-list", ErrAudience.Error(), "two audiences, one of them right", soon,
		sign(t, base, NewGitHubSigner(func(ctx context.Context, audience string) (string, error) {
			return gh.signer(t, claims(base.Predicate.Source), map[string]any{"aud": []string{audience, "sts.amazonaws.com"}}).Token(ctx, audience)
		})))
	other := base
	other.Predicate.Environment = "staging"
	add("token-of-another-intent", ErrAudience.Error(), "a good token under other content", soon, transplant(t, good, sign(t, other, token(nil))))
	add("signature-of-another-intent", ErrSignature.Error(), "a good signature under other content", soon,
		transplant(t, edGood, sign(t, other, keySigner(t, edPrivate))))
	for claim, value := range map[string]any{
		"repository_id": "4321", "repository_owner_id": "98", "repository": "acme/other", "ref": "refs/heads/evil",
		"sha": strings.Repeat("0", 40), "workflow_ref": "acme/storefront/.github/workflows/evil.yml@refs/heads/main",
		"event_name": "pull_request_target", "run_id": "776", "run_number": "11", "run_attempt": "2", "actor": "mallory",
	} {
		add("claim-"+strings.ReplaceAll(claim, "_", "-"), ErrClaims.Error(), "the token says another "+claim, soon,
			sign(t, base, token(map[string]any{claim: value})))
	}
	number := claims(base.Predicate.Source)
	number["run_id"] = 777
	add("claim-as-number", ErrSignature.Error(), "GitHub's numbers are strings", soon, sign(t, base, gh.signer(t, number, nil)))
	addMalformed(t, add, good, edGood)
	addRollbacks(t, add, token(nil), keySigner(t, edPrivate))
	addConfigs(t, add, token(nil))
	return vectors
}

func addMalformed(t *testing.T, add func(name, expect, why string, now time.Time, envelope []byte), good, edGood []byte) {
	t.Helper()
	soon := noon().Add(10 * time.Second)
	replace := func(data []byte, old, with string) []byte { return replaced(t, data, old, with) }
	inPayload := func(old, with string) []byte { return inPayload(t, edGood, old, with) }
	malformed, unknown := ErrMalformed.Error(), ErrUnknownField.Error()
	add("empty", malformed, "no bytes", soon, nil)
	add("not-json", malformed, "not JSON", soon, []byte("deploy it please"))
	add("oversize", ErrTooLarge.Error(), "one byte too many", soon, bytes.Repeat([]byte(" "), MaxEnvelopeBytes+1))
	add("trailing-data", malformed, "a second JSON value", soon, append(bytes.Clone(good), "{}"...))
	add("white-space", malformed, "not canonical", soon, append(bytes.Clone(good), '\n'))
	add("key-in-other-case", malformed, "JSON decoders that ignore case", soon, replace(good, `"payload"`, `"Payload"`))
	add("duplicate-key", malformed, "the last one wins in many decoders", soon, replace(good, `{`, `{"payload":"",`))
	add("unknown-field-in-envelope", unknown, "a field that nobody signs", soon, replace(good, `{`, `{"note":"x",`))
	add("unsigned", ErrUnsigned.Error(), "no signature", soon, replace(edGood, string(edGood[bytes.Index(edGood, []byte(`"signatures":[`))+14:bytes.LastIndex(edGood, []byte(`]`))]), ""))
	add("empty-signature", ErrUnsigned.Error(), "an empty signature", soon, emptySignature(t, edGood))
	add("other-payload-type", malformed, "another type of statement", soon, replace(good, PayloadType, "application/json"))
	add("unknown-field-in-statement", unknown, "written by a newer signer", soon, inPayload(`"kind":`, `"grace":1,"kind":`))
	add("tampered-environment", ErrSignature.Error(), "staging made production", soon, inPayload(`"environment":"production"`, `"environment":"productiom"`))
	add("tampered-image", ErrSignature.Error(), "another image", soon, inPayload(`"sha256":"abab`, `"sha256":"bbab`))
	add("unknown-kind", malformed, "a kind that does not exist", soon, inPayload(`"kind":"deploy"`, `"kind":"explode"`))
	add("environment-with-slash", malformed, "not a DNS label", soon, inPayload(`"environment":"production"`, `"environment":"../kube"`))
	add("predicate-type-of-tomorrow", malformed, "a newer format", soon, inPayload(PredicateType, "https://inhaul.dev/intent/v2"))
	add("local-time", malformed, "times have to be UTC", soon, inPayload(`"issuedAt":"2026-11-22T12:00:00Z"`, `"issuedAt":"2026-11-22T13:00:00+01:00"`))
	add("event-after-signing", malformed, "an event cannot be younger than the intent, or it would undo rollbacks", soon, inPayload(`"eventAt":"2026-11-22T11:59:00Z"`, `"eventAt":"2026-11-22T12:00:01Z"`))
	add("valid-for-ever", malformed, "valid for longer than a week", soon, inPayload(`"expiresAt":"2026-11-23T12:00:00Z"`, `"expiresAt":"2036-11-23T12:00:00Z"`))
}

// addRollbacks has the ways to name the release to go back to.
func addRollbacks(t *testing.T, add func(name, expect, why string, now time.Time, envelope []byte), token, key Signer) {
	t.Helper()
	soon, malformed := noon().Add(10*time.Second), ErrMalformed.Error()
	to := func(target string, signer Signer) []byte {
		p := push().Predicate
		p.Spec = nil
		if err := p.RollBackTo(target); err != nil {
			t.Fatal(err)
		}
		return sign(t, New("", p), signer)
	}
	add("github-rollback-to-commit", "ok", "back to the newest good release of a commit", soon, to("9f2c1ab", token))
	add("github-rollback-to-previous", "ok", "back to what ran before", soon, to("previous", token))
	add("ed25519-rollback-to-whole-commit", "ok", "a commit with all its digits", soon, to(strings.Repeat("9f2c1ab0", 5), key))
	commit, previous := to("9f2c1ab", key), to("previous", key)
	const inCommit, inPrevious = `"rollbackToCommit":"9f2c1ab"`, `"rollbackToPrevious":true`
	add("rollback-to-nothing", malformed, "no release is named", soon, inPayload(t, previous, ","+inPrevious, ""))
	add("rollback-to-two", malformed, "two releases are named", soon, inPayload(t, previous, inPrevious, inCommit+","+inPrevious))
	add("rollback-to-number-and-previous", malformed, "two releases are named", soon, inPayload(t, previous, inPrevious, `"rollbackTo":3,`+inPrevious))
	add("rollback-to-previous-not", malformed, "what is false is left out", soon, inPayload(t, commit, inCommit, inCommit+`,"rollbackToPrevious":false`))
	add("rollback-to-previous-as-text", malformed, "a boolean is no string", soon, inPayload(t, previous, inPrevious, `"rollbackToPrevious":"true"`))
	add("rollback-to-number-below-one", malformed, "numbers start at 1", soon, inPayload(t, previous, inPrevious, `"rollbackTo":-1`))
	add("rollback-to-six-digits", malformed, "a commit has at least seven digits here", soon, inPayload(t, commit, inCommit, `"rollbackToCommit":"9f2c1a"`))
	add("rollback-to-commit-in-capitals", malformed, "commits are lower-case", soon, inPayload(t, commit, inCommit, `"rollbackToCommit":"9F2C1AB"`))
	add("rollback-to-commit-with-line-break", malformed, "shapes are anchored", soon, inPayload(t, commit, inCommit, `"rollbackToCommit":"9f2c1ab\n"`))
	add("deploy-to-previous", malformed, "a deploy goes back to nothing", soon, inPayload(t, sign(t, push(), key), `"source":`, inPrevious+`,"source":`))
	add("tampered-rollback", ErrSignature.Error(), "another commit", soon, inPayload(t, commit, inCommit, `"rollbackToCommit":"9f2c1ac"`))
}

// addConfigs has where the settings are written.
func addConfigs(t *testing.T, add func(name, expect, why string, now time.Time, envelope []byte), token Signer) {
	t.Helper()
	soon, malformed := noon().Add(10*time.Second), ErrMalformed.Error()
	written := push()
	written.Predicate.Config = &Config{Path: "services/shop/inhaul.yaml", Lines: map[string]int{"services.web.port": 12, "services.web": 9, "secrets.API_KEY": 4}}
	good := sign(t, written, token)
	add("github-push-with-config", "ok", "the lines of the settings are told", soon, good)
	const path, line = `"path":"services/shop/inhaul.yaml"`, `"services.web.port":12`
	add("config-outside-of-the-repository", malformed, "a path that leads out", soon, inPayload(t, good, path, `"path":"services/../../inhaul.yaml"`))
	add("config-from-the-root", malformed, "an absolute path", soon, inPayload(t, good, path, `"path":"/inhaul.yaml"`))
	add("config-line-0", malformed, "lines start at 1", soon, inPayload(t, good, line, `"services.web.port":0`))
	add("config-line-as-text", malformed, "a line is a number", soon, inPayload(t, good, line, `"services.web.port":"12"`))
	add("config-setting-with-slash", malformed, "a setting is names and dots", soon, inPayload(t, good, line, `"services/web/port":12`))
	add("config-without-lines", malformed, "what is empty is left out", soon, inPayload(t, good, `{"secrets.API_KEY":4,"services.web":9,"services.web.port":12}`, `{}`))
}

// inPayload is an envelope with something else in its statement, which nobody has
// signed.
func inPayload(t *testing.T, envelope []byte, old, with string) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return replaced(t, envelope, e["payload"].(string), base64.StdEncoding.EncodeToString(replaced(t, payload, old, with)))
}

func replaced(t *testing.T, data []byte, old, with string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%q is not in the envelope", old)
	}
	return bytes.Replace(data, []byte(old), []byte(with), 1)
}

func emptySignature(t *testing.T, envelope []byte) []byte {
	t.Helper()
	var e struct {
		Signatures []struct {
			Sig string `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(envelope, []byte(e.Signatures[0].Sig), nil, 1)
}

// transplant puts the signature of one envelope under the content of another.
func transplant(t *testing.T, signatureOf, contentOf []byte) []byte {
	t.Helper()
	from, err := Decode(signatureOf)
	if err != nil {
		t.Fatal(err)
	}
	to, err := Decode(contentOf)
	if err != nil {
		t.Fatal(err)
	}
	to.sealed.Signature = from.sealed.Signature
	data, err := to.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
