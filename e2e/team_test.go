package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/spec"
)

const (
	publishTimeout = 60 * time.Second // with a registry that is told to fail
	publishRetry   = 300 * time.Millisecond
	podPatience    = "90s" // of a team for its pods, which are ready at once
)

// team publishes intents for several apps, each with the environments production
// and staging, as their workflows would. Simulated nodes pull nothing, so no image
// exists.
type team struct {
	program, dir string // of the lab
	github       string
	http         *http.Client // trusts the lab
	client       dynamic.Interface
	registry     *oci.Registry
	signer       intent.Signer
	user         string // that the API server knows the test by
	lines        []*line
	runs         atomic.Int64 // the last run of a workflow, of whichever app
}

// line is an app in an environment.
type line struct {
	app, environment, namespace string
	repository                  string // of GitHub
	repositoryID                int64
	keepsFailed                 bool // autoRollback: false
	pushes                      []*push
}

func (l *line) String() string { return l.app + "/" + l.environment }

// push is a published intent, or a rollback that was asked for in the cluster, and
// what it is known to be.
type push struct {
	line         *line
	run, attempt int64
	commit       string
	digest       string // of the intent
	tag          string
	envelope     []byte
	issuedAt     time.Time
	inCluster    bool  // asked for in the cluster: no run, no commit, no tag
	before       *push // has to be the newest release if this one rightly gets none
	content
}

// content is what a run deploys; a re-run has that of its first attempt.
type content struct {
	broken    bool // its pods crash
	stuck     bool // they run and are never ready
	predeploy bool
	side      bool // it has a second service

	target string // the rest aside, it rolls back: "previous", a number or a commit
}

// newTeam makes apps with that prefix. history is how many releases each keeps.
func newTeam(t *testing.T, prefix string, apps, history int) *team {
	t.Helper()
	program, dir := needLab(t)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1                           // one more limit would only hide what is measured
	config.WarningHandler = rest.NoWarnings{} // of what a stranger writes
	tm := &team{program: program, dir: dir, github: os.Getenv("LAB_GITHUB_URL")}
	if tm.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	transport := trusting(t, os.Getenv("LAB_CA_BUNDLE"))
	tm.http = &http.Client{Transport: transport, Timeout: adminTimeout}
	tm.registry = oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(transport))
	var public []byte
	tm.signer, public = trustedSigner(t)
	if tm.user, err = tm.self(t.Context()); err != nil {
		t.Fatal(err)
	}
	tm.runs.Store(time.Now().Unix()) // above those of an earlier test against the same lab
	for i := range apps {
		tm.addApp(t, fmt.Sprintf("%s-%d-%d", prefix, os.Getpid()%10_000, i+1), public, history)
	}
	return tm
}

// trustedSigner is a signer with a new key, and the public half in PEM.
func trustedSigner(t *testing.T) (signer intent.Signer, public []byte) {
	t.Helper()
	keys := t.TempDir()
	if err := writeKeys(keys); err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(keys, "trusted.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if public, err = os.ReadFile(filepath.Join(keys, "trusted.pub")); err != nil {
		t.Fatal(err)
	}
	if signer, err = intent.NewKeySigner(private); err != nil {
		t.Fatal(err)
	}
	return signer, public
}

// addApp makes a repository at GitHub and the App that lets it deploy.
func (tm *team) addApp(t *testing.T, app string, public []byte, history int) {
	t.Helper()
	repository, id := "acme/"+app, tm.runs.Add(1)
	if err := tm.lab(t.Context(), http.MethodPost, "runs", map[string]any{"repository": repository, "repositoryID": id}, nil); err != nil {
		t.Fatal(err)
	}
	if err := tm.lab(t.Context(), http.MethodPost, "pulls", map[string]any{"repository": repository, "pullRequest": teamPull}, nil); err != nil {
		t.Fatal(err)
	}
	images := os.Getenv("LAB_REGISTRY") + "/" + repository
	rule := func(name, environment, ref string) map[string]any {
		return map[string]any{"name": name, "environments": []any{environment}, "repositoryID": id, "refs": []any{ref}, "allowRollback": true}
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "inhaul.dev/v1alpha1", "kind": "App", "metadata": map[string]any{"name": app, "namespace": "inhaul"},
		"spec": map[string]any{
			"intents": images + "-intents", "images": []any{images}, "history": int64(history),
			"signers": []any{map[string]any{"publicKey": string(public)}},
			"rules":   []any{rule("main", "production", "refs/heads/main"), rule("develop", "staging", "refs/heads/develop")},
			"environments": []any{
				map[string]any{"name": "production", "namespace": app + "-production", "production": true},
				map[string]any{"name": "staging", "namespace": app + "-staging"},
			},
		},
	}}
	if _, err := tm.client.Resource(appResource).Namespace("inhaul").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{"production", "staging"} {
		tm.lines = append(tm.lines, &line{app: app, environment: environment, namespace: app + "-" + environment, repository: repository, repositoryID: id})
	}
}

var (
	appResource        = schema.GroupVersionResource{Group: "inhaul.dev", Version: "v1alpha1", Resource: "apps"}
	releaseResource    = schema.GroupVersionResource{Group: "inhaul.dev", Version: "v1alpha1", Resource: "releases"}
	rollbackResource   = schema.GroupVersionResource{Group: "inhaul.dev", Version: "v1alpha1", Resource: "rollbacks"}
	deploymentResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	jobResource        = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	podResource        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

// compose signs the intent of a new run; nothing is published yet.
func (tm *team) compose(ctx context.Context, l *line, c content) (*push, error) {
	run := tm.runs.Add(1)
	return tm.sign(ctx, &push{line: l, run: run, attempt: 1, commit: fmt.Sprintf("%040x", run), content: c})
}

// again signs the intent of a re-run.
func (tm *team) again(ctx context.Context, old *push) (*push, error) {
	attempt := old.attempt
	for _, p := range old.line.pushes {
		if p.run == old.run {
			attempt = max(attempt, p.attempt)
		}
	}
	return tm.sign(ctx, &push{line: old.line, run: old.run, attempt: attempt + 1, commit: old.commit, content: old.content})
}

func (tm *team) sign(ctx context.Context, p *push) (*push, error) {
	l := p.line
	ref := map[string]string{"production": "refs/heads/main", "staging": "refs/heads/develop"}[l.environment]
	p.issuedAt = time.Now().UTC().Truncate(time.Millisecond)
	predicate := intent.Predicate{
		Kind: intent.Deploy, App: l.app, Environment: l.environment,
		Source: intent.Source{
			Repository: l.repository, RepositoryID: l.repositoryID, RepositoryOwnerID: 1, Ref: ref, Commit: p.commit,
			Event: "push", EventAt: p.issuedAt, WorkflowRef: l.repository + "/.github/workflows/deploy.yml@" + ref,
			RunID: p.run, RunNumber: p.run, RunAttempt: p.attempt, Actor: "octocat",
		},
		IssuedAt: p.issuedAt, ExpiresAt: p.issuedAt.Add(time.Hour),
	}
	if l.environment == "staging" {
		predicate.Source.PullRequest = teamPull
	}
	var err error
	image := "" // that of what comes back
	if p.target == "" {
		image = fmt.Sprintf("%s/%s@sha256:%064x", os.Getenv("LAB_REGISTRY"), l.repository, p.run)
		predicate.Spec = p.app()
	} else if err = predicate.RollBackTo(p.target); err != nil {
		return nil, err
	}
	if p.envelope, p.digest, err = intent.Sign(ctx, intent.New(image, predicate), tm.signer); err != nil {
		return nil, err
	}
	p.tag = oci.Tag(l.environment, p.issuedAt, p.digest)
	l.pushes = append(l.pushes, p)
	return p, nil
}

// app is what the push deploys.
func (p *push) app() *spec.App {
	command := "serve"
	switch { // words that the simulated nodes know
	case p.broken:
		command = "broken"
	case p.stuck:
		command = "stuck"
	}
	web := spec.Service{
		Name: "web", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "10m", Memory: "16Mi",
		Run: spec.Command{Exec: []string{command}}, Env: map[string]string{"RUN": strconv.FormatInt(p.run, 10)},
	}
	if !p.stuck { // how long a crash takes to be told where the clock does not tell it
		web.Health.Timeout = podPatience
	}
	app := &spec.App{Name: p.line.app, Services: []spec.Service{web}, KeepFailed: p.line.keepsFailed}
	if p.side {
		side := web
		side.Name, side.Private, side.Run = "side", true, spec.Command{Exec: []string{"serve"}}
		app.Services = append(app.Services, side)
	}
	if p.predeploy {
		app.Predeploy = &spec.Task{Run: spec.Command{Exec: []string{"migrate"}}, CPU: "10m", Memory: "16Mi"}
	}
	return app
}

// publish puts the intent into the registry, however often that is refused.
func (tm *team) publish(ctx context.Context, p *push) error { return tm.publishAs(ctx, p, p.tag) }

// publishTwice puts the same envelope under a tag that is not its own.
func (tm *team) publishTwice(ctx context.Context, p *push) error {
	return tm.publishAs(ctx, p, oci.Tag(p.line.environment, p.issuedAt.Add(time.Millisecond), p.digest))
}

func (tm *team) publishAs(ctx context.Context, p *push, tag string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	for {
		_, err := tm.registry.Publish(ctx, os.Getenv("LAB_REGISTRY")+"/"+p.line.repository+"-intents", tag, p.envelope)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("publishing run %d of %s: %w", p.run, p.line, err)
		case <-time.After(publishRetry):
		}
	}
}

// deploy composes and publishes.
func (tm *team) deploy(ctx context.Context, l *line, c content) (*push, error) {
	p, err := tm.compose(ctx, l, c)
	if err != nil {
		return nil, err
	}
	return p, tm.publish(ctx, p)
}

// lab says something to the GitHub stand-in's own endpoints.
func (tm *team) lab(ctx context.Context, method, what string, body, answer any) error {
	return tm.say(ctx, method, tm.github+"/_lab/"+what, body, answer)
}

// admin says something to the registry's own endpoints.
func (tm *team) admin(ctx context.Context, method, what string, body any) error {
	return tm.say(ctx, method, "https://"+os.Getenv("LAB_REGISTRY")+"/_lab/"+what, body, nil)
}

func (tm *team) say(ctx context.Context, method, address string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := tm.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s: %w", method, address, response.Status, text, err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// run runs the lab's program.
func (tm *team) run(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, tm.program, append(args, "--dir", tm.dir)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("lab %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
