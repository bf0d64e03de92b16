package registry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/inhaul/inhaul/lab/registry"
)

const token = "s3cret"

// world is a registry behind TLS and the real client's view of it.
type world struct {
	*registry.Registry
	server *httptest.Server
	host   string
}

func start(t *testing.T, c registry.Config) *world {
	t.Helper()
	r, err := registry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(r)
	t.Cleanup(func() {
		s.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	// Under a name instead of a loopback address: for the latter the client
	// expects plain HTTP, and refuses the https of the second page's address.
	const host = "example.com" // is in httptest's certificate
	s.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	return &world{r, s, host}
}

func (w *world) options(t *testing.T, password string) []remote.Option {
	t.Helper()
	once := remote.Backoff{Duration: time.Millisecond, Steps: 1}
	return []remote.Option{
		remote.WithContext(t.Context()),
		remote.WithTransport(w.server.Client().Transport),
		remote.WithRetryBackoff(once),
		remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: registry.Username, Password: password})),
	}
}

func (w *world) tag(t *testing.T, reference string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(w.host + "/" + reference)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func (w *world) push(t *testing.T, reference string, img v1.Image) error {
	t.Helper()
	return remote.Write(w.tag(t, reference), img, w.options(t, token)...)
}

func anImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]struct {
		password string
		expires  time.Time
		want     int
	}{
		"admits the token":             {token, time.Time{}, 0},
		"admits a token not yet due":   {token, now.Add(time.Second), 0},
		"refuses another password":     {"wrong", time.Time{}, http.StatusUnauthorized},
		"refuses the token once due":   {token, now, http.StatusUnauthorized},
		"refuses a token from earlier": {token, now.Add(-time.Hour), http.StatusUnauthorized},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, registry.Config{Token: token, Expires: c.expires, Now: func() time.Time { return now }})
			err := remote.Write(w.tag(t, "a/b:1"), anImage(t), w.options(t, c.password)...)
			if got := status(err); got != c.want {
				t.Errorf("pushing: got %v, want status %d", err, c.want)
			}
		})
	}
}

func TestChallengeIsECRs(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	resp := get(t, w, http.MethodGet, "/v2/", "")
	want := `Basic realm="https://` + w.host + `/",service="ecr.amazonaws.com"`
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || got != want {
		t.Errorf("got %d %q, want 401 %q", resp.StatusCode, got, want)
	}
}

func TestTagImmutability(t *testing.T) {
	t.Parallel()
	first, second := anImage(t), anImage(t)
	cases := map[string]struct {
		config    registry.Config
		reference string
		again     v1.Image
		want      string
	}{
		"refuses to move a tag":            {registry.Config{Immutable: true}, "a/b:1", second, "TAG_INVALID: The image tag '1' already exists in the 'a/b' repository and cannot be overwritten because the tag is immutable."},
		"accepts the same image again":     {registry.Config{Immutable: true}, "a/b:1", first, ""},
		"moves a cache tag":                {registry.Config{Immutable: true}, "a/b:cache-main", second, ""},
		"moves a tag of a mutable setting": {registry.Config{}, "a/b:1", second, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.Token = token
			w := start(t, c.config)
			if err := w.push(t, c.reference, first); err != nil {
				t.Fatal(err)
			}
			err := w.push(t, c.reference, c.again)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("second push: got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRepositoryMustExist(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token, MustExist: true, Repositories: []string{"known"}})
	if err := w.push(t, "known:1", anImage(t)); err != nil {
		t.Fatal(err)
	}
	if got := status(w.push(t, "a/unknown:1", anImage(t))); got != http.StatusNotFound {
		t.Errorf("push to a repository that does not exist: got status %d, want 404", got)
	}
	w.CreateRepository("a/unknown")
	if err := w.push(t, "a/unknown:1", anImage(t)); err != nil {
		t.Error(err)
	}
}

func TestARemovedRepositoryIsMissing(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	for _, step := range []struct {
		method string
		want   int
	}{{http.MethodDelete, http.StatusNotFound}, {http.MethodPost, 0}} {
		if got := send(t, w, step.method, "/_lab/repositories", "", `{"name":"a/b"}`).StatusCode; got >= http.StatusMultipleChoices {
			t.Fatalf("%s: got status %d", step.method, got)
		}
		if got := status(w.push(t, "a/b:1", anImage(t))); got != step.want {
			t.Errorf("push after %s: got status %d, want %d", step.method, got, step.want)
		}
	}
}

func TestTagListIsPaged(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	img := anImage(t)
	want := []string{"a", "b", "c", "d", "e"}
	for _, tag := range want {
		if err := w.push(t, "a/b:"+tag, img); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{1, 2, 5, 100} {
		tags, err := remote.List(w.tag(t, "a/b:x").Repository, append(w.options(t, token), remote.WithPageSize(size))...)
		if diff := cmp.Diff(want, tags); err != nil || diff != "" {
			t.Errorf("page size %d: %v %s", size, err, diff)
		}
	}
	if got := get(t, w, http.MethodGet, "/v2/a/b/tags/list?n=1001", token).StatusCode; got != http.StatusBadRequest {
		t.Errorf("n=1001: got status %d, want 400", got)
	}
	if link := get(t, w, http.MethodGet, "/v2/a/b/tags/list?n=2&last=b", token).Header.Get("Link"); link != `</v2/a/b/tags/list?last=d&n=2>; rel="next"` {
		t.Errorf("got Link %q", link)
	}
}

func TestDeletingADigestDeletesItsTags(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	img := anImage(t)
	for _, reference := range []string{"a/b:1", "a/b:2"} {
		if err := w.push(t, reference, img); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.push(t, "a/b:other", anImage(t)); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	repository := w.tag(t, "a/b:1").Repository
	if err := remote.Delete(repository.Digest(digest.String()), w.options(t, token)...); err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(repository, w.options(t, token)...)
	if diff := cmp.Diff([]string{"other"}, tags); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestContentSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	img := anImage(t)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	before := start(t, registry.Config{Token: token, Dir: dir})
	if err := before.push(t, "a/b:1", img); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(before.tag(t, "a/b:index"), index, before.options(t, token)...); err != nil {
		t.Fatal(err)
	}
	before.server.Close()
	after := start(t, registry.Config{Token: token, Dir: dir})
	got, err := remote.Image(after.tag(t, "a/b:1"), after.options(t, token)...)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := img.Digest()
	if digest, err := got.Digest(); err != nil || digest != want {
		t.Errorf("got %v (%v), want %v", digest, err, want)
	}
	if _, err := remote.Index(after.tag(t, "a/b:index"), after.options(t, token)...); err != nil {
		t.Error(err)
	}
}

func TestATornLastLineIsCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := start(t, registry.Config{Token: token, Dir: dir})
	if err := before.push(t, "a/b:1", anImage(t)); err != nil {
		t.Fatal(err)
	}
	before.server.Close()
	journal, err := os.OpenFile(filepath.Join(dir, "manifests.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.WriteString(`{"repository":"a/b","refer`); err != nil { // the power went
		t.Fatal(err)
	}
	journal.Close()
	second := start(t, registry.Config{Token: token, Dir: dir})
	if err := second.push(t, "a/b:2", anImage(t)); err != nil {
		t.Fatal(err)
	}
	second.server.Close()
	third := start(t, registry.Config{Token: token, Dir: dir}) // the torn line must not have swallowed the second push
	for _, tag := range []string{"a/b:1", "a/b:2"} {
		if _, err := remote.Image(third.tag(t, tag), third.options(t, token)...); err != nil {
			t.Errorf("%s after two restarts: %v", tag, err)
		}
	}
}

func TestAJournalThatCannotBeReplayedIsAnError(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"an index of what is not there": `{"repository":"a/b","reference":"1","mediaType":"application/vnd.oci.image.index.v1+json","body":"` +
			base64.StdEncoding.EncodeToString([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:`+strings.Repeat("ab", 32)+`"}]}`)) + `"}`,
		"the deletion of what is not there": `{"repository":"a/b","reference":"1"}`,
		"no JSON":                           `{"repository":`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "manifests.jsonl"), []byte(line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if r, err := registry.New(registry.Config{Dir: dir}); err == nil {
			t.Errorf("%s: got no error", name)
			r.Close()
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	if err := w.push(t, "a/b:1", anImage(t)); err != nil {
		t.Fatal(err)
	}
	got := w.Requests("")
	for _, key := range []string{"GET ping", "POST uploads", "PUT manifests", "HEAD blobs"} {
		if got[key] == 0 {
			t.Errorf("%s: got no request in %v", key, got)
		}
	}
	if err := w.push(t, "c/d:1", anImage(t)); err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]int{"": 2, "a/b": 1, "c/d": 1, "e/f": 0} {
		if got := w.Requests(repository)["PUT manifests"]; got != want {
			t.Errorf("repository %q: got %d PUT manifests, want %d", repository, got, want)
		}
	}
}

func status(err error) int {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode
	}
	return 0
}

func get(t *testing.T, w *world, method, path, password string) *http.Response {
	t.Helper()
	return send(t, w, method, path, password, "")
}

func send(t *testing.T, w *world, method, path, password, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+w.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		req.SetBasicAuth(registry.Username, password)
	}
	resp, err := w.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}
