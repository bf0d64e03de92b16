package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// stocked gives an App of a group databases with volumes.
func (f *fixture) stocked(t *testing.T, app string) {
	t.Helper()
	err := f.admin.custom.Patch(types.MergePatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name(app).
		Body([]byte(`{"spec":{"previews":{"databases":{"postgres":{"image":"mirror.example.com/postgres:{version}","storage":"1Gi"}},"egress":{"allow":["10.9.0.0/16"]}}}}`)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the App's class is in the cache", func() bool {
		return slices.ContainsFunc(f.Apps(), func(a agent.App) bool { return a.Name == app && a.PreviewPolicy.Postgres != nil })
	})
}

// owned reports whether some preview owns the namespace.
func (f *fixture) owned(t *testing.T, namespace string) (agent.PreviewSpace, bool) {
	t.Helper()
	spaces, err := f.PreviewSpaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		if s.Namespace == namespace {
			return s, s.Owned
		}
	}
	t.Fatalf("namespace %s is not among the %d of previews", namespace, len(spaces))
	return agent.PreviewSpace{}, false
}

// TestAppThatLeavesAGroupTakesItsDatabases has one with databases leave and come back,
// and then the one leave, and be forgotten, that the namespace was made for.
func TestAppThatLeavesAGroupTakesItsDatabases(t *testing.T) {
	t.Parallel()
	f := grouped(t, "depot-web", "depot-api")
	f.stocked(t, "depot-api")
	web, maker := f.opened(t, "depot-web", "/")
	f.deployed(t, web)
	api := f.withDepot(t, 1)
	before, err := f.credentialsOf(t.Context(), api, mainDatabase())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.noteCloned(t.Context(), api, mainDatabase()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the note is in the cache", func() bool { return f.cloned(api, mainDatabase()) })
	f.hasWallsOfBoth(t, api)

	api.App.Teardown = &spec.Task{Run: spec.Command{Shell: "bin/cleanup"}, CPU: "10m", Memory: "16Mi"}
	p, _ := f.Preview(api.Line)
	f.setPhase(t, p, agent.PreviewDestroying)
	if _, err := f.StartTask(t.Context(), api, agent.TaskTeardown); err != nil {
		t.Errorf("the teardown of one that leaves: %v", err)
	} else {
		f.end(t, f.job(t, api, agent.TaskTeardown), batchv1.JobComplete)
	}
	if f.gone(t, api.Line) {
		t.Fatal("the namespace went with one that left")
	}
	f.leftNothing(t, api)
	if got := f.names(t, web.Namespace); !slices.Equal(got, []string{"depot-web-web"}) {
		t.Errorf("got Deployments %v, want what is of the other one", got)
	}

	api = f.withDepot(t, 2)
	if after, err := f.credentialsOf(t.Context(), api, mainDatabase()); err != nil || after.UID == before.UID || string(after.Data["url"]) == string(before.Data["url"]) {
		t.Errorf("it came back, and has the credentials of before, %v", err)
	}
	if f.cloned(api, mainDatabase()) {
		t.Error("a database that was made anew is said to be filled")
	}
	f.ownsWhatItCameInto(t, web, maker, api)
}

// withDepot is release number of depot-api, with its database.
func (f *fixture) withDepot(t *testing.T, number int) agent.Release {
	t.Helper()
	r, _ := f.opened(t, "depot-api", "/api")
	r.Number, r.App.Databases = number, []spec.Database{mainDatabase()}
	r = f.created(t, r)
	if _, err := f.StartDatabases(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) hasWallsOfBoth(t *testing.T, r agent.Release) {
	t.Helper()
	var walls *networkingv1.NetworkPolicy
	for _, line := range []agent.Line{r.Line, {App: "depot-web", Environment: r.Line.Environment}} {
		p, _ := f.Preview(line)
		if err := f.PutUpRails(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		before := walls
		var err error
		if walls, err = f.admin.networking.NetworkPolicies(r.Namespace).Get(t.Context(), render.PreviewRails, metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		if before != nil && before.ResourceVersion != walls.ResourceVersion {
			t.Errorf("got %+v once %s has put them up, want those of before, %+v", walls, line, before)
		}
	}
	var open []string
	for _, rule := range walls.Spec.Egress {
		for _, to := range rule.To {
			if to.IPBlock != nil {
				open = append(open, to.IPBlock.CIDR)
			}
		}
	}
	if !slices.Contains(open, "10.9.0.0/16") {
		t.Errorf("got %v, want what one of them may reach", open)
	}
}

// leftNothing fails if something of r's app is in its namespace.
func (f *fixture) leftNothing(t *testing.T, r agent.Release) {
	t.Helper()
	of := metav1.ListOptions{LabelSelector: render.LabelApp + "=" + r.Line.App}
	for what, list := range map[string]func() (int, error){
		"volumes": func() (int, error) {
			l, err := f.admin.core.PersistentVolumeClaims(r.Namespace).List(t.Context(), of)
			return len(l.Items), err
		},
		"Secrets": func() (int, error) {
			l, err := f.admin.core.Secrets(r.Namespace).List(t.Context(), of)
			return len(l.Items), err
		},
		"Deployments": func() (int, error) {
			l, err := f.admin.apps.Deployments(r.Namespace).List(t.Context(), of)
			return len(l.Items), err
		},
	} {
		if n, err := list(); err != nil || n != 0 {
			t.Errorf("got %d %s of the one that left, %v", n, what, err)
		}
	}
	_, err := f.admin.core.ConfigMaps(r.Namespace).Get(t.Context(), render.ClonedName(r, mainDatabase()), metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the note that its database is filled: got %v, want none", err)
	}
}

// ownsWhatItCameInto has the maker of a namespace leave and be forgotten.
func (f *fixture) ownsWhatItCameInto(t *testing.T, web agent.Release, maker agent.Preview, api agent.Release) {
	t.Helper()
	if f.gone(t, web.Line) {
		t.Fatal("the namespace went with the one that it was made for")
	}
	if err := f.admin.custom.Delete().Namespace(f.namespace).Resource(v1alpha1.Previews).Name(previewName(maker.Line)).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record is forgotten", func() bool { _, found := f.Preview(web.Line); return !found })
	space, owned := f.owned(t, web.Namespace)
	if !owned {
		t.Error("the namespace is nobody's, and one that came into it is there")
	}
	if err := f.DeleteSpace(t.Context(), space); !errors.Is(err, agent.ErrForeign) {
		t.Errorf("deleting it as nobody's: got %v, want ErrForeign", err)
	}
	p, _ := f.Preview(api.Line)
	f.setPhase(t, p, agent.PreviewDestroyed)
	if _, owned := f.owned(t, web.Namespace); owned {
		t.Error("all are over, and the namespace is somebody's")
	}
}

// TestAgentDeletesNoVolumesOfOthers is about the right to delete those of databases.
func TestAgentDeletesNoVolumesOfOthers(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, _ := f.preview(t)
	r = f.created(t, r)
	for namespace, labels := range map[string]map[string]string{
		r.Namespace: {render.LabelManagedBy: render.Manager, render.LabelApp: "shop"},
		f.namespace: {render.LabelManagedBy: render.Manager, render.LabelApp: "shop", render.LabelDatabase: "main"},
	} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "precious", Labels: labels}}
		claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: apiresource.MustParse("1Gi")}
		if _, err := f.admin.core.PersistentVolumeClaims(namespace).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the policy is in force", func() bool {
			err := f.clients.core.PersistentVolumeClaims(namespace).Delete(t.Context(), "precious", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
			return err != nil && strings.Contains(err.Error(), "inhaul-volume")
		})
	}
}
