package cli_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/cli"
)

// theKey stands for a private key: nothing but the Secret may show it.
const theKey = "-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n-----END RSA PRIVATE KEY-----\n"

// desk plays GitHub, the person at its page, and the cluster.
type desk struct {
	secret    string // that is there; empty: none
	refuse    error  // of what is to be kept
	lost      error  // of the exchange
	kept      []string
	exchanged []string
	shown     cli.Registration
	manifest  string
}

func (d *desk) Register(ctx context.Context, r cli.Registration) error {
	d.shown = r
	r.Served("http://127.0.0.1:4321/")
	manifest, err := r.Manifest("http://127.0.0.1:4321/registered")
	if err != nil {
		return err
	}
	d.manifest = string(manifest)
	_, err = r.Finish(ctx, "c0de")
	return err
}

func (d *desk) ConvertManifest(_ context.Context, code string) (cli.GitHubApp, error) {
	d.exchanged = append(d.exchanged, code)
	return cli.GitHubApp{ID: 4242, Slug: "inhaul-acme", Page: "https://github.com/apps/inhaul-acme", Key: []byte(theKey)}, d.lost
}

func (d *desk) Secret(context.Context, string, string) ([]byte, error) {
	if d.secret == "" {
		return nil, cli.ErrNotFound
	}
	return []byte(d.secret), nil
}

func (d *desk) Keep(_ context.Context, namespace, name string, secret []byte, how cli.Keeping) error {
	d.kept = append(d.kept, fmt.Sprintf("%s/%s %+v %s", namespace, name, how, strings.Join(strings.Fields(string(secret)), "")))
	if how.Try && !errors.Is(d.refuse, errLate) || !how.Try && errors.Is(d.refuse, errLate) {
		return d.refuse
	}
	return nil
}

// errLate happens when the App is registered already.
var errLate = errors.New("the cluster is gone")

// run runs inhaul github-app.
func (d *desk) run(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr strings.Builder
	inhaul := cli.Commands{
		Stdout: &stdout, Stderr: &stderr, Stdin: strings.NewReader(theKey), Files: cli.Disk{}, Registrar: d,
		Connect: func(cli.Connection) (cli.Cluster, error) { return cli.Cluster{Secrets: d}, nil },
		GitHub:  func(string) (cli.GitHub, error) { return cli.GitHub{Manifests: d}, nil },
	}
	code = inhaul.Run(t.Context(), append([]string{"github-app"}, args...))
	return code, stdout.String(), stderr.String()
}

func TestAGitHubAppIsRegisteredAndKept(t *testing.T) {
	t.Parallel()
	d := &desk{}
	code, out, said := d.run(t, "--organization", "acme")
	if code != 0 || out != "" || d.shown.Action != "https://github.com/organizations/acme/settings/apps/new" || !d.shown.Browser {
		t.Errorf("got exit code %d, %q, and %+v\n%s", code, out, d.shown, said)
	}
	want := `{"name":"inhaul-acme","url":"https://github.com/inhaul/inhaul","description":"Reports what Inhaul's agent deploys.",` +
		`"redirect_url":"http://127.0.0.1:4321/registered","public":false,` +
		`"default_permissions":{"checks":"write","contents":"read","deployments":"write","metadata":"read","pull_requests":"write","statuses":"write"},"default_events":[]}`
	if diff := cmp.Diff(want, d.manifest); diff != "" {
		t.Errorf("manifest: got +, want -\n%s", diff)
	}
	if len(d.kept) != 2 || !strings.HasPrefix(d.kept[0], "inhaul/inhaul-agent {Force:false Try:true}") || strings.Contains(d.kept[0], base64.StdEncoding.EncodeToString([]byte(theKey))) {
		t.Fatalf("kept %q, want a try before the App is made", d.kept)
	}
	_, secret, _ := strings.Cut(d.kept[1], "} ")
	var kept struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(secret), &kept); err != nil || string(kept.Data["github-app.pem"]) != theKey || string(kept.Data["github-app-id"]) != "4242" {
		t.Errorf("got %s, want the id and the key", secret)
	}
	wantSaid := `open http://127.0.0.1:4321/ on this machine, and press the button there
stored App 4242 in Secret inhaul-agent in namespace inhaul

next:
  1. install it on your repositories: https://github.com/apps/inhaul-acme/installations/new
  2. kubectl -n inhaul rollout restart deployment/inhaul-agent
`
	if diff := cmp.Diff(wantSaid, said); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}

func TestAGitHubAppIsPrintedOnlyWhenAskedTo(t *testing.T) {
	t.Parallel()
	d := &desk{secret: "never asked for"}
	code, out, said := d.run(t, "--print", "--no-browser", "--namespace", "platform", "--github-url", "https://ghe.example.com/")
	if code != 0 || !strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(theKey))) || !strings.Contains(out, `"namespace": "platform"`) || len(d.kept) > 0 {
		t.Errorf("got exit code %d and\n%s, want the Secret\n%s", code, out, said)
	}
	if d.shown.Action != "https://ghe.example.com/settings/apps/new" || d.shown.Browser || strings.Contains(said, "czNjcmV0") {
		t.Errorf("got %+v\n%s", d.shown, said)
	}
	if !strings.Contains(said, "install it on your repositories: https://ghe.example.com/apps/inhaul-acme/installations/new") {
		t.Errorf("got\n%s\nwant no way to another host", said)
	}
}

func TestAGitHubAppThatIsThereIsStored(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, []byte(theKey), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{key, "-"} {
		d := &desk{}
		code, _, said := d.run(t, "--app-id", "7", "--key", file)
		if code != 0 || len(d.kept) != 2 || !strings.Contains(d.kept[1], `"github-app-id":"Nw=="`) || d.shown.Action != "" {
			t.Errorf("%s: got exit code %d, %q\n%s", file, code, d.kept, said)
		}
	}
}

func TestAGitHubAppIsRefused(t *testing.T) {
	t.Parallel()
	public := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(public, []byte("-----BEGIN PUBLIC KEY-----\nczNjcmV0\n-----END PUBLIC KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const has = `{"data": {"github-app.pem": "czNjcmV0", "receipt.pem": "x"}}`
	for _, c := range []struct {
		name      string
		desk      desk
		args      string
		code      int
		want      string
		exchanged int
	}{
		{"there is one", desk{secret: has}, "", 1, "the agent has a GitHub App already", 0},
		{"the Secret is nobody's to change", desk{refuse: cli.ErrForbidden}, "", 1, "ask for the right to get and patch it", 0},
		{"there is no agent", desk{refuse: cli.ErrNotFound}, "", 1, "install it first: kubectl apply", 0},
		{"somebody else's fields", desk{refuse: cli.ErrRefused}, "", 1, "--force replaces the App", 0},
		{"the key is lost at the end", desk{refuse: errLate}, "--organization acme", 1, "another key on https://github.com/organizations/acme/settings/apps/inhaul-acme, and inhaul github-app --app-id 4242 --key FILE", 1},
		{"the code is spent", desk{lost: errors.New("GitHub answered 404")}, "", 1, "if https://github.com/settings/apps lists the App: generate a private key", 1},
		{"half of an App", desk{}, "--app-id 7", 1, "--app-id and --key belong together", 0},
		{"two Apps", desk{}, "--app-id 7 --key - --organization acme", 1, "leave one or the other out", 0},
		{"a public key", desk{}, "--app-id 7 --key " + public, 1, "it has no private key in PEM", 0},
		{"no organization", desk{}, "--organization ../x", 1, "is no organization", 0},
		{"no GitHub", desk{}, "--github-url ftp://x", 1, "this is no address of a GitHub", 0},
		{"a day", desk{}, "--timeout 24h", 1, "GitHub lets a registration take an hour", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, said := c.desk.run(t, strings.Fields(c.args)...)
			if code != c.code || out != "" || !strings.Contains(said, c.want) || len(c.desk.exchanged) != c.exchanged {
				t.Errorf("got exit code %d, %d exchanges and\n%s\nwant %d, %d and %q", code, len(c.desk.exchanged), said, c.code, c.exchanged, c.want)
			}
			if strings.Contains(said, "czNjcmV0") {
				t.Error("the key is shown")
			}
		})
	}
	d := &desk{secret: has}
	if code, _, said := d.run(t, "--force"); code != 0 || len(d.kept) != 2 || !strings.Contains(d.kept[1], "Force:true") {
		t.Errorf("--force: got exit code %d, %q\n%s", code, d.kept, said)
	}
}
