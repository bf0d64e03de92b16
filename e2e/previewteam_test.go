package e2e

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/spec"
)

// longestPause is between two ops of a story: shorter than a deploy takes, so that
// many are under way at a time.
const longestPause = 400 * time.Millisecond

// previewTeam has one app with previews and lets things happen to its pull requests.
type previewTeam struct {
	*team
	app          string
	repositoryID int64
	without      []string // parts that its app has not: "seed", "databases"
}

// pullEvent is what happened to a pull request, and the run that GitHub starts for it.
type pullEvent struct {
	pull   pullRequest
	run    int64
	asks   ask
	merged bool

	head, merge string // commits
	at          time.Time
	image       string          // by digest; empty: one that is nowhere
	change      func(*spec.App) // of what it deploys; nil: nothing
}

// newPreviewTeam makes an app whose previews have those settings beside the usual ones.
func newPreviewTeam(t *testing.T, name string, previews map[string]any) *previewTeam {
	t.Helper()
	pt := &previewTeam{team: newTeam(t, "", 0, 0), app: fmt.Sprintf("%s-%d", name, os.Getpid()%10_000), without: strings.FieldsFunc(os.Getenv("INHAUL_PREVIEWS_WITHOUT"), func(r rune) bool { return r == ',' })}
	var public []byte
	pt.signer, public = trustedSigner(t)
	pt.repositoryID = int64(crc32.ChecksumIEEE([]byte(pt.app))) // apps of one test begin in the same second
	if err := pt.lab(t.Context(), http.MethodPost, "runs", map[string]any{"repository": pt.repository(), "repositoryID": pt.repositoryID}, nil); err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{"namespace": "{app}-pr-{number}", "host": "pr-{number}.{app}.preview.example.com", "max": int64(200)}
	if pt.has("databases") {
		settings["databases"] = map[string]any{
			"postgres": map[string]any{"image": pt.images() + "/postgres:{version}", "version": "17"},
			"redis":    map[string]any{"image": pt.images() + "/redis:{version}", "version": "8"},
		}
	}
	if realPostgres() != "" {
		settings["databases"] = map[string]any{"postgres": map[string]any{"image": realPostgres()}}
	}
	maps.Copy(settings, previews)
	rule := func(name, environment, ref string) map[string]any {
		return map[string]any{"name": name, "environments": []any{environment}, "repositoryID": pt.repositoryID, "refs": []any{ref}}
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "inhaul.dev/v1alpha1", "kind": "App", "metadata": map[string]any{"name": pt.app, "namespace": "inhaul"},
		"spec": map[string]any{
			"intents": pt.images() + "-intents", "images": []any{pt.images()}, "previews": settings,
			"signers":      []any{map[string]any{"publicKey": string(public)}},
			"rules":        []any{rule("main", "production", "refs/heads/main"), rule("pull requests", "pr-*", "refs/pull/*/merge")},
			"environments": []any{map[string]any{"name": "production", "namespace": pt.app + "-production", "production": true}},
		},
	}}
	if _, err := pt.client.Resource(appResource).Namespace("inhaul").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return pt
}

// realPostgres is an image of PostgreSQL that runs on the lab's real containers; empty
// if there is none.
func realPostgres() string { return os.Getenv("INHAUL_PREVIEWS_POSTGRES") }

func (pt *previewTeam) repository() string { return "acme/" + pt.app }

func (pt *previewTeam) images() string { return os.Getenv("LAB_REGISTRY") + "/" + pt.repository() }

func (pt *previewTeam) has(part string) bool { return !slices.Contains(pt.without, part) }

func (pt *previewTeam) namespace(p pullRequest) string {
	return fmt.Sprintf("%s-pr-%d", pt.app, p.number)
}

// happen lets GitHub know what happens to a pull request.
func (pt *previewTeam) happen(ctx context.Context, p pullRequest, o op) (pullEvent, error) {
	var payload struct {
		PullRequest struct {
			MergeCommit string                  `json:"merge_commit_sha"`
			Head        struct{ SHA string }    `json:"head"`
			UpdatedAt   time.Time               `json:"updated_at"`
			Labels      []struct{ Name string } `json:"labels"`
		} `json:"pull_request"`
	}
	labels := o.labels
	if labels == nil {
		labels = []string{} // none, rather than as before
	}
	err := pt.lab(ctx, http.MethodPost, "pulls", map[string]any{
		"repository": pt.repository(), "pullRequest": p.number, "action": o.action, "label": o.label, "labels": labels,
		"merged": o.merged, "fork": p.fork, "headRef": p.branch, "baseRef": p.base,
	}, &payload)
	if err != nil {
		return pullEvent{}, fmt.Errorf("letting pull request %d be %s: %w", p.number, o.action, err)
	}
	pr := payload.PullRequest
	return pullEvent{pull: p, run: pt.runs.Add(1), asks: o.asks, merged: o.merged, head: pr.Head.SHA, merge: pr.MergeCommit, at: pr.UpdatedAt}, nil
}

// deliver signs and publishes what a run makes of an event, and returns its digest.
func (pt *previewTeam) deliver(ctx context.Context, e pullEvent) (string, error) {
	environment, ref := "pr-"+strconv.Itoa(e.pull.number), fmt.Sprintf("refs/pull/%d/merge", e.pull.number)
	if e.merged {
		ref = "refs/heads/" + e.pull.base
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	predicate := intent.Predicate{
		Kind: intent.Destroy, App: pt.app, Environment: environment,
		Source: intent.Source{
			Repository: pt.repository(), RepositoryID: pt.repositoryID, RepositoryOwnerID: 1, Ref: ref, Commit: e.merge, HeadCommit: e.head,
			Event: "pull_request", EventAt: e.at, PullRequest: e.pull.number, WorkflowRef: pt.repository() + "/.github/workflows/deploy.yml@" + ref,
			RunID: e.run, RunNumber: e.run, RunAttempt: 1, Actor: "octocat",
		},
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	image := ""
	if e.asks == asksDeploy {
		predicate.Kind, predicate.Spec = intent.Deploy, pt.content(e.run)
		if e.change != nil {
			e.change(predicate.Spec)
		}
		image = cmp.Or(e.image, fmt.Sprintf("%s@sha256:%064x", pt.images(), e.run))
	}
	envelope, digest, err := intent.Sign(ctx, intent.New(image, predicate), pt.signer)
	if err != nil {
		return "", err
	}
	_, err = pt.registry.Publish(ctx, pt.images()+"-intents", oci.Tag(environment, now, digest), envelope)
	if err != nil {
		return "", fmt.Errorf("publishing run %d of pull request %d: %w", e.run, e.pull.number, err)
	}
	return digest, nil
}

// content is what a run deploys.
func (pt *previewTeam) content(run int64) *spec.App {
	app := &spec.App{Name: pt.app, Services: []spec.Service{{
		Name: "web", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "10m", Memory: "16Mi", Run: spec.Command{Exec: []string{"serve"}},
		Health: spec.Health{Timeout: podPatience}, Env: map[string]string{"RUN": strconv.FormatInt(run, 10)},
	}}}
	if pt.has("seed") {
		app.Seed = &spec.Task{Run: spec.Command{Exec: []string{"seed"}}, CPU: "10m", Memory: "16Mi"}
	}
	switch {
	case realPostgres() != "":
		app.Databases = []spec.Database{{Name: "main", Type: "postgres", Env: "DATABASE_URL"}}
	case pt.has("databases"):
		app.Databases = []spec.Database{{Name: "cache", Type: "redis", Env: "REDIS_URL"}, {Name: "main", Type: "postgres", Env: "DATABASE_URL"}}
	}
	return app
}

// play lets the story happen, and returns the digest of what each op published.
func (pt *previewTeam) play(ctx context.Context, s story, dice *rand.Rand) (map[int]string, error) {
	digests := map[int]string{}
	held := map[int]func() error{} // by pull request
	for i, o := range s.ops {
		time.Sleep(time.Duration(dice.Int64N(int64(longestPause))))
		event, err := pt.happen(ctx, s.pulls[o.pull], o)
		if err != nil {
			return nil, err
		}
		deliver := func() (err error) {
			if o.asks != asksNothing && !o.dropped {
				digests[i], err = pt.deliver(ctx, event)
			}
			return err
		}
		before := held[o.pull]
		delete(held, o.pull)
		if o.late {
			held[o.pull] = deliver
		} else if err := deliver(); err != nil {
			return nil, err
		}
		if before != nil {
			if err := before(); err != nil {
				return nil, err
			}
		}
	}
	for _, deliver := range held {
		if err := deliver(); err != nil {
			return nil, err
		}
	}
	return digests, nil
}
