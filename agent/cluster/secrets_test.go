package cluster

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

func TestNewSecret(t *testing.T) {
	t.Parallel()
	s := make(seed, seedBytes)
	r := testRelease("test", 7)
	made := func(holder string, values map[string]string, s seed) *corev1.Secret {
		secret, err := newSecret(r, render.Holder{Name: holder}, values, s)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	values := map[string]string{"DATABASE_URL": "postgres://u:p@db/shop"}
	got := made("web", values, s)
	if got.Immutable == nil || !*got.Immutable || string(got.Data["DATABASE_URL"]) != values["DATABASE_URL"] || got.Annotations[annotationHolder] != "web" {
		t.Errorf("got %+v", got)
	}
	if err := sameOwner(agent.Object{}, got, appLabels(r)); err != nil {
		t.Error(err)
	}
	r.Number = 8
	if again := made("web", values, s); again.Name != got.Name {
		t.Errorf("the same values in the next release: got %s, want %s", again.Name, got.Name)
	}
	for name, other := range map[string]*corev1.Secret{
		"other values":   made("web", map[string]string{"DATABASE_URL": "postgres://u:q@db/shop"}, s),
		"another holder": made("worker", values, s),
		"another seed":   made("web", values, append(seed("x"), s...)),
	} {
		if other.Name == got.Name {
			t.Errorf("%s: got the same name %s", name, got.Name)
		}
	}
	// The parts of a URL that cannot be read must not be told.
	queue := spec.Queue{Type: "redis", From: "REDIS_URL"}
	_, err := newSecret(r, render.Holder{Name: "worker.queue", Queue: queue}, map[string]string{"REDIS_URL": "mysql://hunter2"}, s)
	var rejected *agent.Rejected
	if !errors.As(err, &rejected) || strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(rejected.Message, "worker: scale.queue:") {
		t.Errorf("got %v, want it rejected without its value", err)
	}
}

func TestRecordedSecrets(t *testing.T) {
	t.Parallel()
	secret := func(name, holder string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{annotationHolder: holder}}}
	}
	own := map[string]*corev1.Secret{}
	for _, s := range []*corev1.Secret{
		secret("web-1", "web"), secret("worker-1", "worker"), secret("web-2", "web"), secret("worker-2", "worker"), secret("pre-5", render.TaskHolder(agent.TaskPredeploy)),
	} {
		own[s.Name] = s
	}
	app := func(reference string) spec.App {
		secrets := map[string]string{"URL": reference}
		return spec.App{
			Services:  []spec.Service{{Name: "web", Secrets: secrets}, {Name: "worker", Secrets: map[string]string{"URL": "k8s://db#url"}}},
			Predeploy: &spec.Task{Secrets: secrets},
		}
	}
	release := func(number int, run int64, reason agent.Reason, names ...string) agent.Release {
		r := agent.Release{Number: number, Namespace: "shop", Reason: reason, App: app("k8s://db#url")}
		r.Status.Phase = agent.Succeeded
		r.Source.RunID = run
		for _, name := range names {
			r.Status.Inventory = append(r.Status.Inventory, secretReference("shop", name))
		}
		return r
	}
	releases := []agent.Release{
		release(1, 100, agent.ReasonNewest, "web-1", "worker-1", "gone-1"),
		release(2, 200, agent.ReasonNewest, "web-2", "worker-2"),
		release(3, 100, agent.ReasonRollback, "web-2"),
		release(4, 100, agent.ReasonRollback), // died before it had an inventory
		release(4, 100, agent.ReasonRollback, "worker-2"),
	}
	releases[4].Status.Phase = agent.RolledBack // its value may be why
	byNumber := release(5, 300, agent.ReasonRollback, "pre-5")
	byNumber.Restore = 2
	// A rollback to release 7, which is not kept, and a rollback to that rollback.
	trimmed, chained := release(8, 250, agent.ReasonRollback, "web-1", "worker-2"), release(9, 300, agent.ReasonRollback)
	trimmed.Restore, chained.Restore = 7, 8
	releases = append(releases, trimmed)
	elsewhere := release(5, 100, agent.ReasonRollback)
	elsewhere.App = app("k8s://other#url")
	tests := map[string]struct {
		r    agent.Release
		want map[string]string
	}{
		"news":                            {release(5, 500, agent.ReasonNewest), map[string]string{}},
		"news that has a predeploy":       {release(5, 500, agent.ReasonNewest, "pre-5"), map[string]string{render.TaskHolder(agent.TaskPredeploy): "pre-5"}},
		"the newest run again":            {release(5, 200, agent.ReasonRedeploy), map[string]string{}},
		"an old run again":                {release(5, 100, agent.ReasonRollback), map[string]string{"web": "web-2", "worker": "worker-1"}},
		"a release by number":             {byNumber, map[string]string{"web": "web-2", "worker": "worker-2", render.TaskHolder(agent.TaskPredeploy): "pre-5"}},
		"a rollback by number":            {chained, map[string]string{"web": "web-1", "worker": "worker-2"}},
		"the good release after a bad":    {releases[1], map[string]string{"web": "web-2", "worker": "worker-2"}},
		"a run that refers elsewhere now": {elsewhere, map[string]string{"worker": "worker-1"}},
		"an old release's own":            {releases[0], map[string]string{"web": "web-1", "worker": "worker-1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := recordedSecrets(test.r, releases, render.Holders(test.r.App), own)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	s := sealed{values: map[string]struct{}{"hunter2": {}, "hunter2-and-more": {}, "a": {}, "": {}}}
	text := `webhook: "hunter2-and-more" and hunter2 and ` + base64.StdEncoding.EncodeToString([]byte("hunter2")) + " are a shame"
	want := `webhook: "[redacted]" and [redacted] and [redacted] are a shame`
	if got := s.scrub(text); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
