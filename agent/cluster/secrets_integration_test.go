package cluster

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// withSecrets is a release whose web service has secrets, and its worker some
// that the agent makes.
func (f *fixture) withSecrets(number int) agent.Release {
	r := f.release(number)
	r.App.Services[0].Secrets = map[string]string{"DATABASE_URL": "k8s://shop#url", "KEY": "generate://32"}
	r.App.Services[1].Secrets = map[string]string{"KEY": "generate://32"}
	return r
}

// secretOf is the Secret that the pods of a service get, and how often the
// Deployment's template was changed.
func (f *fixture) secretOf(t *testing.T, namespace, service string) (*corev1.Secret, string) {
	t.Helper()
	d, err := f.clients.apps.Deployments(namespace).Get(t.Context(), render.Name("shop", service), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range d.Spec.Template.Spec.Containers[0].EnvFrom {
		if from.SecretRef == nil {
			continue
		}
		secret, err := f.admin.core.Secrets(namespace).Get(t.Context(), from.SecretRef.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return secret, secret.Name
	}
	t.Fatalf("%s has no Secret", service)
	return nil, ""
}

func TestMissingSecretsWriteNothing(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.created(t, f.withSecrets(1))
	try := func(want string) {
		t.Helper()
		f.requests.take()
		_, err := f.Apply(t.Context(), r)
		var rejected *agent.Rejected
		if !errors.As(err, &rejected) || rejected.Object.Kind != "Secret" || rejected.Object.Name != "shop" || !strings.Contains(rejected.Message, want) {
			t.Errorf("got %v, want Secret shop refused: %s", err, want)
		}
		if sent := writes(f.requests.take()); len(sent) != 0 {
			t.Errorf("written: %v", sent)
		}
	}
	try(`web: DATABASE_URL: there is no Secret "shop" in namespace "` + r.Namespace + `": kubectl -n ` + r.Namespace + " create secret generic shop")
	f.putSecret(t, r.Namespace, "shop", map[string]string{"other": "hunter2"})
	try(`web: DATABASE_URL: Secret "shop" in namespace "` + r.Namespace + `" has no key "url": kubectl -n ` + r.Namespace + " patch secret shop")

	f.putSecret(t, r.Namespace, "shop", map[string]string{"url": "postgres://hunter2"})
	f.putSecret(t, r.Namespace, generatedName("shop"), map[string]string{"mine": "x"})
	f.requests.take()
	var rejected *agent.Rejected
	if _, err := f.Apply(t.Context(), r); !errors.As(err, &rejected) || rejected.Object.Name != generatedName("shop") {
		t.Errorf("a Secret of somebody else where the seed belongs: got %v, want it refused", err)
	}
	if sent := writes(f.requests.take()); len(sent) != 0 {
		t.Errorf("written: %v", sent)
	}
}

func TestSecretsFollowTheirValues(t *testing.T) {
	t.Parallel()
	f := integration(t)
	first := f.created(t, f.withSecrets(1))
	f.putSecret(t, first.Namespace, "shop", map[string]string{"url": "postgres://old"})
	first = f.applied(t, first)
	web, webName := f.secretOf(t, first.Namespace, "web")
	worker, workerName := f.secretOf(t, first.Namespace, "worker")
	if string(web.Data["DATABASE_URL"]) != "postgres://old" || len(web.Data["KEY"]) != 64 || string(web.Data["KEY"]) != string(worker.Data["KEY"]) {
		t.Errorf("got keys of %d and %d digits", len(web.Data["KEY"]), len(worker.Data["KEY"]))
	}
	if web.Immutable == nil || !*web.Immutable {
		t.Error("the Secret can be changed")
	}
	_, err := f.admin.core.Secrets(first.Namespace).Patch(t.Context(), webName, types.MergePatchType, []byte(`{"stringData":{"DATABASE_URL":"x"}}`), metav1.PatchOptions{})
	if err == nil {
		t.Error("an immutable Secret was changed")
	}

	second := f.applied(t, f.created(t, f.withSecrets(2)))
	if _, got := f.secretOf(t, first.Namespace, "web"); got != webName {
		t.Errorf("the same values: got Secret %s, want %s again", got, webName)
	}

	f.putSecret(t, first.Namespace, "shop", map[string]string{"url": "postgres://new"})
	third := f.applied(t, f.created(t, f.withSecrets(3)))
	rotated, rotatedName := f.secretOf(t, first.Namespace, "web")
	if string(rotated.Data["DATABASE_URL"]) != "postgres://new" || string(rotated.Data["KEY"]) != string(web.Data["KEY"]) || rotatedName == webName {
		t.Errorf("after a rotation: got Secret %s with %d keys, want a new one with the old key", rotatedName, len(rotated.Data))
	}
	if _, got := f.secretOf(t, first.Namespace, "worker"); got != workerName {
		t.Errorf("a service whose values are the same: got Secret %s, want %s", got, workerName)
	}

	back := f.withSecrets(4)
	back.Reason, back.Restore = agent.ReasonRollback, 1
	back = f.applied(t, f.created(t, back))
	if _, got := f.secretOf(t, first.Namespace, "web"); got != webName {
		t.Errorf("after a rollback: got Secret %s, want %s with the old values", got, webName)
	}
	if _, err := f.Apply(t.Context(), third); err != nil { // as after a bad release 4
		t.Fatal(err)
	}
	if _, got := f.secretOf(t, first.Namespace, "web"); got != rotatedName {
		t.Errorf("the last good release: got Secret %s, want its own %s", got, rotatedName)
	}

	// What a rollback needs was deleted by hand: the values of today then.
	if err := f.admin.core.Secrets(first.Namespace).Delete(t.Context(), webName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Apply(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, got := f.secretOf(t, first.Namespace, "web"); got != rotatedName {
		t.Errorf("without its Secret: got %s, want one of today's values, %s", got, rotatedName)
	}
	if !slices.Contains(back.Status.Inventory, secretReference(first.Namespace, webName)) {
		t.Error("a rollback does not record the Secret that it brings back")
	}
}

// TestARollbackToARollbackHasItsSecrets trims the release that the first rollback
// brought back, as the history does, before a second one brings the first back.
func TestARollbackToARollbackHasItsSecrets(t *testing.T) {
	t.Parallel()
	f := integration(t)
	deploy := func(number, restore int, value string) agent.Release {
		r := f.withSecrets(number)
		if r.Restore = restore; restore != 0 {
			r.Reason = agent.ReasonRollback
		}
		r = f.created(t, r)
		f.putSecret(t, r.Namespace, "shop", map[string]string{"url": value})
		return f.applied(t, r)
	}
	first := deploy(1, 0, "postgres://old")
	_, old := f.secretOf(t, first.Namespace, "web")
	deploy(2, 0, "postgres://new")
	back := deploy(3, 1, "postgres://newer")
	if _, got := f.secretOf(t, first.Namespace, "web"); got != old {
		t.Fatalf("the first rollback: got Secret %s, want %s", got, old)
	}
	gone := slices.DeleteFunc(slices.Clone(first.Status.Inventory), func(o agent.Object) bool { return slices.Contains(back.Status.Inventory, o) })
	if _, err := f.Prune(t.Context(), first, gone, back.Status.Inventory); err != nil {
		t.Fatal(err)
	}
	if err := f.Trim(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "release 1 is gone", func() bool { return f.Releases(first.Line)[0].Number != 1 })
	deploy(4, 0, "postgres://newest")
	last := deploy(5, 3, "postgres://of-today")
	secret, got := f.secretOf(t, first.Namespace, "web")
	if got != old || string(secret.Data["DATABASE_URL"]) != "postgres://old" {
		t.Errorf("the second rollback: got Secret %s, want %s with the old values", got, old)
	}
	if !slices.Contains(last.Status.Inventory, secretReference(first.Namespace, old)) {
		t.Error("the second rollback does not record the Secret that it brings back")
	}
}

func TestWhatADeadAgentLeftIsTakenOver(t *testing.T) {
	t.Parallel()
	f := integration(t)
	first := f.created(t, f.withSecrets(1))
	f.putSecret(t, first.Namespace, "shop", map[string]string{"url": "postgres://old"})
	first.App.Services[0].Env = map[string]string{"A": "of a release that nobody remembers"}
	if _, err := f.Apply(t.Context(), first); err != nil { // and its inventory is lost
		t.Fatal(err)
	}
	_, left := f.secretOf(t, first.Namespace, "web")
	f.putSecret(t, first.Namespace, "shop", map[string]string{"url": "postgres://new"})
	config := agent.Object{APIVersion: "v1", Kind: "ConfigMap", Namespace: first.Namespace, Name: "shop-web-env-" + render.ConfigHash(first.App.Services[0].Env)}
	eventually(t, "the cache has its ConfigMap", func() bool { return f.cached(config.Kind, config.Namespace, config.Name) != nil })

	second := f.applied(t, f.created(t, f.withSecrets(2)))
	for _, o := range []agent.Object{secretReference(first.Namespace, left), config} {
		if !slices.Contains(second.Status.Inventory, o) {
			t.Errorf("%s %s is in no inventory", o.Kind, o.Name)
		}
	}
	third := f.applied(t, f.created(t, f.withSecrets(3)))
	if slices.Contains(third.Status.Inventory, secretReference(first.Namespace, left)) {
		t.Error("what one release has taken over is taken over again")
	}
	if seed := secretReference(first.Namespace, generatedName("shop")); slices.Contains(second.Status.Inventory, seed) {
		t.Error("the seed would be pruned")
	}
}

// TestSeedIsMadeOnce lets several agents apply the first release at the same
// moment, which the Lease prevents but for the time that a stopped one needs.
func TestSeedIsMadeOnce(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.created(t, f.withSecrets(1))
	f.putSecret(t, r.Namespace, "shop", map[string]string{"url": "postgres://"})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			var err error
			for range 5 { // as the agent does after an error
				if _, err = f.Apply(t.Context(), r); err == nil {
					return
				}
			}
			t.Errorf("never applied: %v", err)
		})
	}
	group.Wait()
	list, err := f.admin.core.Secrets(r.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: ours})
	if err != nil {
		t.Fatal(err)
	}
	holders := map[string]int{}
	for _, secret := range list.Items {
		holders[secret.Annotations[annotationHolder]]++
	}
	if diff := cmp.Diff(map[string]int{"": 1, "web": 1, "worker": 1}, holders); diff != "" {
		t.Errorf("Secrets by holder (-want +got):\n%s", diff)
	}
}
