package action

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/receipt"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// world is everything outside an Action: a real registry over TLS with Basic
// authentication, a clock that only sleeping moves, and programs that pretend.
type world struct {
	*Action
	t        *testing.T
	env      map[string]string
	files    fstest.MapFS
	out      *strings.Builder
	now      time.Time
	programs *programs
	registry *oci.Registry
	check    func(asked time.Duration) (Check, bool, error) // after so much waiting
	sleeping func(slept time.Duration)                      // called after every sleep, with all of the waiting; may be nil
	wrote    []string                                       // to GitHub
	refuse   error                                          // what GitHub says to that
	asked    []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, env: workflow(t), out: &strings.Builder{}, now: time.Date(2026, 11, 22, 23, 15, 2, 0, time.UTC),
		files: fstest.MapFS{
			"inhaul.yaml": {Data: []byte("app: shop\nservices:\n  web:\n    type: web\n")},
			"Dockerfile":  {Data: []byte("FROM scratch\n")},
		},
		check: func(time.Duration) (Check, bool, error) {
			return Check{Status: "completed", Conclusion: "success", Title: "Release 12 is live", Summary: "All well.", Text: "log\n" + `<!-- inhaul: {"release":12,"url":"https://shop.example.org"} -->`}, true, nil
		},
	}
	actual := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if user, password, ok := req.BasicAuth(); !ok || user != "AWS" || password != "tok" {
			rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		actual.ServeHTTP(rw, req)
	}))
	t.Cleanup(server.Close)
	w.registry = oci.New(oci.WithTransport(server.Client().Transport), oci.WithKeychain(keychain{"AWS", "tok"}))
	w.programs = &programs{transport: server.Client().Transport, installed: []string{"docker"}}
	w.Action = &Action{
		Getenv: func(name string) string { return w.env[name] }, Out: w.out, Dir: "/work", Files: w.files, Temp: t.TempDir(),
		Now:   func() time.Time { return w.now },
		Sleep: w.sleep,
		Exec:  w.programs, Images: images{w.registry}, Publish: publisher{w.registry}, Intents: published{w.registry},
		IDToken:  func(_ context.Context, audience string) (string, error) { return "token for " + audience, nil },
		Verdicts: func(string) (Verdicts, error) { return w, nil }, Receipts: w.registry,
		Reporter: func(string) (Reporter, error) { return w, nil },
	}
	return w
}

// workflow is the environment of a push to main.
func workflow(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	event := filepath.Join(dir, "event.json")
	if err := os.WriteFile(event, []byte(`{"repository":{"pushed_at":1795389000},"head_commit":{"timestamp":"2026-11-22T12:00:00Z"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"INPUT_IMAGE-REPOSITORY": "example.com/shop", "INPUT_TOKEN": "ghs_workflow",
		"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"),
		"GITHUB_EVENT_PATH": event, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": commit,
		"GITHUB_REPOSITORY": "acme/shop", "GITHUB_REPOSITORY_ID": "42", "GITHUB_REPOSITORY_OWNER_ID": "7",
		"GITHUB_WORKFLOW_REF": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
		"GITHUB_RUN_ID":       "777", "GITHUB_RUN_NUMBER": "5", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_ACTOR": "ada",
		"ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.org/?v=1",
	}
}

func (w *world) sleep(ctx context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	if w.sleeping != nil {
		w.sleeping(w.now.Sub(time.Date(2026, 11, 22, 23, 15, 2, 0, time.UTC)))
	}
	return ctx.Err()
}

func (w *world) ShowCheck(ctx context.Context, id int64, c receipt.Check) (int64, string, error) {
	if err := cmp.Or(w.refuse, ctx.Err()); err != nil {
		return id, "", err
	}
	w.wrote = append(w.wrote, fmt.Sprintf("check %d on %s of %s: %s: %s%s: %s", id, c.Commit[:7], c.Repository, c.Name, c.Status, c.Conclusion, c.Title))
	return 4711, "https://github.com/acme/shop/runs/4711", nil
}

func (w *world) ShowComment(_ context.Context, id int64, c receipt.Comment) (int64, error) {
	if w.refuse != nil {
		return id, w.refuse
	}
	w.wrote = append(w.wrote, fmt.Sprintf("comment %d on %s#%d: %s", id, c.Repository, c.PullRequest, c.Body))
	return 12, nil
}

func (w *world) Find(_ context.Context, repository, commit, name, externalID string) (Check, bool, error) {
	w.asked = append(w.asked, repository+" "+commit+" "+name+" "+externalID)
	return w.check(w.now.Sub(time.Date(2026, 11, 22, 23, 15, 2, 0, time.UTC)))
}

// read returns the file that the runner would read.
func (w *world) read(t *testing.T, variable string) string {
	t.Helper()
	data, err := os.ReadFile(w.env[variable])
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// programs pretends to be docker, buildx, buildah and pack, which push an image,
// and git.
type programs struct {
	transport http.RoundTripper
	installed []string
	driver    string // of Docker's default builder
	fail      string // what a build prints before it fails
	prints    string // what a build prints in any case
	reads     func(args []string)
	took      func() // lets time pass
	user      string // of the images that are built
	changed   []string
	shallow   bool   // git has the commit before only once it was fetched
	head      string // commit that is checked out
	argv      [][]string
}

func (p *programs) Run(_ context.Context, c Command) error {
	p.argv = append(p.argv, c.Args)
	if p.took != nil {
		p.took()
	}
	if p.reads != nil {
		p.reads(c.Args)
		_, _ = io.WriteString(c.Out, p.prints)
	}
	if !slices.Contains(p.installed, c.Args[0]) {
		return fmt.Errorf("%s: %w", c.Args[0], exec.ErrNotFound)
	}
	switch {
	case c.Args[0] == "git" && slices.Contains(c.Args, "rev-parse"):
		_, _ = io.WriteString(c.Out, p.head)
	case c.Args[0] == "git" && c.Args[1] == "fetch":
		p.shallow = false
	case c.Args[0] == "git" && p.shallow:
		return fmt.Errorf("fatal: bad object")
	case c.Args[0] == "git":
		_, _ = io.WriteString(c.Out, strings.Join(p.changed, "\x00"))
	case c.Args[0] == "pack" && c.Args[1] == "build":
		return p.push(c.Args[2], "", "")
	case slices.Contains(c.Args, "inspect") && !slices.Contains(c.Args, "inhaul"):
		_, _ = fmt.Fprintf(c.Out, "Name:   default\nDriver: %s\n", p.driver)
	case slices.Contains(c.Args, "inspect"):
		return fmt.Errorf("no builder inhaul")
	case slices.Contains(c.Args, "--tag") && p.fail != "":
		_, _ = io.WriteString(c.Out, p.fail)
		return fmt.Errorf("%s: exit status 1", c.Args[0])
	case slices.Contains(c.Args, "--metadata-file"):
		return p.push(after(c.Args, "--tag"), after(c.Args, "--metadata-file"), `{"containerimage.digest":%q}`)
	case slices.Contains(c.Args, "--digestfile"):
		return p.push(c.Args[len(c.Args)-2], after(c.Args, "--digestfile"), "%s")
	}
	return nil
}

func after(args []string, flag string) string { return args[slices.Index(args, flag)+1] }

func (p *programs) push(reference, file, format string) error {
	image, err := random.Image(8, 1)
	if err != nil {
		return err
	}
	if image, err = mutate.Config(image, v1.Config{User: p.user}); err != nil {
		return err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if err := remote.Write(tag, image, remote.WithTransport(p.transport), remote.WithAuth(&authn.Basic{Username: "AWS", Password: "tok"})); err != nil {
		return err
	}
	if format == "" {
		return nil
	}
	return os.WriteFile(file, fmt.Appendf(nil, format, digest), 0o600)
}

type keychain struct{ user, password string }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	if k.user == "" {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: k.user, Password: k.password}, nil
}

// images is the adapter of cmd/inhaul-action in small.
type images struct{ *oci.Registry }

func (i images) Platform(ctx context.Context, reference string) (digest, user string, err error) {
	image, err := i.Registry.Platform(ctx, reference)
	return image.Digest, image.User, err
}

// publisher is the adapter of cmd/inhaul-action in small.
type publisher struct{ *oci.Registry }

func (p publisher) Publish(ctx context.Context, of Publication) (string, error) {
	tag := oci.Tag(of.Environment, of.IssuedAt, of.Digest)
	_, err := p.Registry.Publish(ctx, of.Repository, tag, of.Envelope)
	return of.Repository + ":" + tag, err
}

// published is the adapter of cmd/inhaul-action in small.
type published struct{ *oci.Registry }

func (p published) Tags(ctx context.Context, repository, environment string) ([]string, error) {
	all, err := p.List(ctx, repository)
	return oci.TagsOf(environment, all), err
}

func signingKey(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func with(env map[string]string, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		maps.Copy(env, map[string]string{pairs[i]: pairs[i+1]})
	}
}
