package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

func TestReleaseLog(t *testing.T) {
	t.Parallel()
	f := integration(t)
	ctx, wanted := t.Context(), f.release(1)

	created, err := f.CreateRelease(ctx, wanted)
	if err != nil {
		t.Fatal(err)
	}
	want := wanted
	want.Status.Phase = agent.Pending
	for name, got := range map[string]agent.Release{"returned": created, "read at once": f.Releases(want.Line)[0]} {
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(agent.Release{}, "Version"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := f.CreateRelease(ctx, wanted); !errors.Is(err, agent.ErrExists) {
		t.Errorf("the number again: got %v, want ErrExists", err)
	}

	next := created
	next.Status.Phase, next.Status.Message = agent.Applying, "Applying"
	updated, err := f.UpdateRelease(ctx, next)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Releases(want.Line)[0]; got.Version != updated.Version || got.Status.Phase != agent.Applying {
		t.Errorf("read at once: got %s %s, want %s %s", got.Version, got.Status.Phase, updated.Version, agent.Applying)
	}
	if _, err := f.UpdateRelease(ctx, next); !errors.Is(err, agent.ErrConflict) {
		t.Errorf("an old version: got %v, want ErrConflict", err)
	}
	for line := range f.Changed() {
		if line == want.Line { // other tests' lines come too
			break
		}
	}
	eventually(t, "the event of the phase is there", func() bool {
		list, err := f.clients.core.Events(want.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=shop-1"})
		return err == nil && len(list.Items) == 1 && list.Items[0].Reason == string(agent.Applying)
	})

	if err := f.Trim(ctx, updated); err != nil {
		t.Fatal(err)
	}
	if got := f.Releases(want.Line); len(got) != 0 {
		t.Errorf("after trimming, read at once: got %v", got)
	}
	if err := f.Trim(ctx, updated); err != nil {
		t.Errorf("trimming twice: %v", err)
	}
	if _, err := f.UpdateRelease(ctx, updated); err == nil || errors.Is(err, agent.ErrConflict) {
		t.Errorf("updating what is gone: got %v, want an error that is not a conflict", err)
	}
}

func TestReleaseSpecNeverChanges(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	if _, err := f.CreateRelease(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	err := f.clients.custom.Patch(types.MergePatchType).Namespace(r.Namespace).Resource(v1alpha1.Releases).Name("shop-1").
		Body([]byte(`{"spec":{"definition":{"services":[{"name":"web","type":"web","replicas":9}]}}}`)).Do(t.Context()).Error()
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "a release never changes") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// TestEveryStatusFitsTheSchema sends the largest status that the mapping makes.
func TestEveryStatusFitsTheSchema(t *testing.T) {
	t.Parallel()
	f := integration(t)
	created, err := f.CreateRelease(t.Context(), f.release(1))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", 60_000)
	for _, phase := range []agent.Phase{
		agent.Pending, agent.Predeploying, agent.Applying, agent.RollingOut, agent.Restoring, agent.Succeeded, agent.Failed, agent.RolledBack, agent.Superseded,
	} {
		created.Status = filled[agent.Status]()
		for i := range 2 { // keys of lists have to differ
			created.Status.Timeline[i].Step = []agent.Step{agent.StepNoticed, agent.StepVerdict}[i]
		}
		for i := range created.Status.Drift {
			created.Status.Drift[i].Action = agent.DriftGivenUp
		}
		created.Status.Phase, created.Status.Message = phase, long
		created.Status.Cause.Log, created.Status.Cause.Message, created.Status.Cause.Next = long, long, long
		created.Status.Cause.Events = append(strings.Split(strings.Repeat("x\n", 20), "\n"), long)
		want := created.Status
		if created, err = f.UpdateRelease(t.Context(), created); err != nil {
			t.Fatalf("%s: %v", phase, err)
		}
		want.Message, want.Cause = created.Status.Message, created.Status.Cause
		if diff := cmp.Diff(want, created.Status); diff != "" {
			t.Errorf("%s (-want +got):\n%s", phase, diff)
		}
	}
}

func TestApps(t *testing.T) {
	t.Parallel()
	f := integration(t)
	put := func(name, environments string) error {
		body := `{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":"` + name + `"},"spec":{
			"intents":"registry.example.com/shop-intents","images":["registry.example.com/shop"],
			"signers":[{"issuer":"https://token.actions.githubusercontent.com"}],
			"rules":[{"name":"main","environments":["production"],"repositoryID":1,"refs":["refs/heads/main"]}],
			"environments":` + environments + `}}`
		return f.clients.custom.Patch(types.ApplyPatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name(name).
			Param("fieldManager", "test").Body([]byte(body)).Do(t.Context()).Error()
	}
	for environments, want := range map[string]string{
		`[{"name":"a","namespace":"x"},{"name":"b","namespace":"x"}]`: "a namespace of its own",
		`[{"name":"a","namespace":"kube-system"}]`:                    "out of bounds",
		`[]`: "should have at least 1 items",
	} {
		if err := put("shop", environments); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", environments, err, want)
		}
	}
	if err := put("Shop", `[{"name":"a","namespace":"x"}]`); err == nil {
		t.Error("an App with a bad name was taken")
	}
	if err := put("shop", `[{"name":"production","namespace":"shop","production":true}]`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the App is in the cache", func() bool { return len(f.Apps()) == 1 })
	if app := f.Apps()[0]; app.Name != "shop" || app.History != 50 || !app.Environments[0].Production || app.Rules[0].RepositoryID != 1 {
		t.Errorf("got %+v", app)
	}

	at := time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	want := filled[agent.AppStatus]()
	want.Refusals[0].At, want.Lines[0].Environment, want.Lines[1].Environment = at, "production", "staging"
	if err := f.UpdateApp(t.Context(), "shop", func(s *agent.AppStatus) { *s = want }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, f.Apps()[0].Status); diff != "" {
		t.Errorf("status, read at once (-want +got):\n%s", diff)
	}
	f.requests.take()
	if err := f.UpdateApp(t.Context(), "shop", func(s *agent.AppStatus) { s.Problem = want.Problem }); err != nil {
		t.Fatal(err)
	}
	if sent := f.requests.take(); len(sent) != 0 {
		t.Errorf("an update that changes nothing sent %v", sent)
	}
	if err := f.UpdateApp(t.Context(), "none", func(*agent.AppStatus) {}); !apierrors.IsNotFound(err) {
		t.Errorf("an App that is not there: got %v", err)
	}
}

// TestUpdateAppAfterSomebodyElse changes the App behind the client's back.
func TestUpdateAppAfterSomebodyElse(t *testing.T) {
	t.Parallel()
	f := integration(t)
	body := `{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":"shop"},"spec":{"intents":"x","images":["x"],
		"signers":[{"issuer":"https://x"}],"environments":[{"name":"a","namespace":"x"}]}}`
	err := f.clients.custom.Post().Namespace(f.namespace).Resource(v1alpha1.Apps).Body([]byte(body)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the App is in the cache", func() bool { return len(f.Apps()) == 1 })
	calls := 0
	err = f.UpdateApp(t.Context(), "shop", func(s *agent.AppStatus) {
		calls++
		if calls == 1 {
			other, err := f.readApp(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			other.Status.Problem = "theirs"
			// Not by f.writeApp: the client must not know.
			err = f.clients.custom.Put().Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").SubResource("status").
				Body(other).Do(t.Context()).Error()
			if err != nil {
				t.Fatal(err)
			}
		}
		s.Problem += "+ours"
	})
	if err != nil || calls != 2 {
		t.Fatalf("got %v after %d calls", err, calls)
	}
	if got, want := f.Apps()[0].Status.Problem, "theirs+ours"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
