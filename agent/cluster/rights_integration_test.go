package cluster

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// TestAgentsOwnRights does everything the agent does with the rights of
// deploy/rbac.yaml alone, and tries what it must not be able to do.
func TestAgentsOwnRights(t *testing.T) {
	t.Parallel()
	f, _ := asAgent(t, "preview-admission.yaml")
	f.putApp(t, `{"ingressClass":"nginx"}`)

	r := f.deploy(t, f.release(1))
	if err := f.UpdateApp(t.Context(), "shop", func(s *agent.AppStatus) { s.Problem = "none" }); err != nil {
		t.Error(err)
	}
	pod := f.awaitObservation(t, r, live).Services[0].Pods[0]
	if e := f.Evidence(t.Context(), r, agent.Question{Name: pod.Name}); e.Unread {
		t.Error("the events of a pod may not be read")
	}
	_, err := f.podLog(t.Context(), r.Namespace, pod.Name, pod.Containers[0].Name)
	if err != nil && strings.Contains(err.Error(), "forbidden") {
		t.Error(err)
	}
	eventually(t, "the events of its phases are there", func() bool {
		list, err := f.admin.core.Events(r.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Release"})
		return err == nil && len(list.Items) == 3
	})
	r = f.deployEverything(t, r)
	f.driftOfEveryKind(t, r)
	eventually(t, "everything is pruned", func() bool {
		left, err := f.Prune(t.Context(), r, r.Status.Inventory, nil)
		if err != nil {
			t.Fatalf("pruning: %v", err)
		}
		return len(left) == 0
	})
	if _, err := f.Prune(t.Context(), r, r.Status.Inventory, nil); err != nil {
		t.Errorf("reading what is gone: %v", err)
	}
	if err := f.Trim(t.Context(), r); err != nil {
		t.Error(err)
	}
	f.mustNot(t, r.Namespace)
	if err := f.Lead(t.Context(), "me", func(context.Context) {}); err != nil { // last: who has led writes nothing
		t.Error(err)
	}
}

// deployEverything takes r, which was deployed, to a release with objects of every
// kind, once by an Ingress and once through a Gateway.
func (f *fixture) deployEverything(t *testing.T, r agent.Release) agent.Release {
	t.Helper()
	installExtensions(t)
	f.putSecret(t, r.Namespace, "shop", map[string]string{"REDIS_URL": "redis://redis.example.com"})
	r.App = f.everything(1).App
	started, err := f.StartTask(t.Context(), r, agent.TaskPredeploy)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.StartTask(t.Context(), r, agent.TaskPredeploy); err != nil || len(again) != len(started) {
		t.Errorf("the predeploy again: got %v, %v", again, err)
	}
	f.awaitPredeploy(t, r, func(o agent.PredeployObservation) bool { return !o.Missing })
	if e := f.Evidence(t.Context(), r, agent.Question{Job: true, Name: render.PredeployName(r)}); e.Unread || e.Missing {
		t.Errorf("the predeploy's Job: got %+v, want it read and there", e)
	}
	if _, err := f.ownValues(t.Context(), r); err != nil {
		t.Error(err)
	}
	r.Status.Inventory = append(r.Status.Inventory, started...)
	for _, how := range []string{`{"ingressClass":"nginx"}`, `{"gateway":"public"}`} {
		f.putApp(t, how)
		if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := len(kinds(r.Status.Inventory)), len(render.Allowed()); got != want {
		t.Errorf("got objects of %d kinds, want %d", got, want)
	}
	r.App.Services[3].Scale = spec.Scale{} // deletes an autoscaler
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// driftOfEveryKind has somebody else change or delete an object of every kind.
func (f *fixture) driftOfEveryKind(t *testing.T, r agent.Release) {
	t.Helper()
	touched := map[agent.Object]bool{}
	wanted, err := f.Objects(t.Context(), r) // some of the inventory is of earlier tries
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Status.Inventory {
		eventually(t, o.Kind+" is watched", func() bool {
			live, watched := f.glanceAt(o)
			return watched && (live != nil || !f.exists(t, o))
		})
		switch {
		case o.Kind != "Secret" && !slices.Contains(wanted, o), strings.Contains(o.Name, "predeploy"):
		case o.Kind == "Secret" || o.Kind == "ConfigMap" || o.Kind == "CronJob":
			f.delete(t, o)
			touched[o] = true
		default:
			f.patch(t, "kubectl-label", o, `{"metadata":{"labels":{"inhaul.dev/environment":"mine"}}}`)
			touched[o] = true
		}
	}
	eventually(t, "all of it is put back", func() bool {
		found, err := f.Drifted(t.Context(), r, agent.DriftRevert, everyObject)
		if err != nil {
			t.Fatal(err)
		}
		var objects []agent.Object
		for _, d := range found {
			objects = append(objects, d.Object)
			delete(touched, d.Object)
		}
		if err := f.Settle(t.Context(), r, objects, nil); err != nil {
			t.Fatal(err)
		}
		return len(touched) == 0
	})
}

// mustNot tries what an agent that was taken over must not be able to do.
func (f *fixture) mustNot(t *testing.T, namespace string) {
	t.Helper()
	for what, err := range map[string]error{
		"change secrets": func() error {
			_, err := f.clients.core.Secrets(namespace).Patch(t.Context(), "shop", types.MergePatchType, []byte(`{"stringData":{"a":"b"}}`), metav1.PatchOptions{})
			return err
		}(),
		"change jobs": func() error {
			_, err := f.clients.batch.Jobs(namespace).Patch(t.Context(), "x", types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{})
			return err
		}(),
		"delete namespaces": f.clients.core.Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}),
		"change the App's spec": f.clients.custom.Patch(types.MergePatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").
			Body([]byte(`{"spec":{"images":["y"]}}`)).Do(t.Context()).Error(),
		"make roles": f.clients.core.RESTClient().Post().AbsPath("/apis/rbac.authorization.k8s.io/v1/clusterroles").
			Body([]byte(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"x"}}`)).Do(t.Context()).Error(),
	} {
		if err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("%s: got %v, want forbidden", what, err)
		}
	}
}

// asAgent is a fixture in a namespace of its own with the rights of deploy/rbac.yaml
// alone. The files of deploy are applied to the cluster before.
func asAgent(t *testing.T, files ...string) (f *fixture, namespace string) {
	t.Helper()
	config, _ := testConfig(t)
	installCRDs(t, config)
	namespace = testNamespace(t, config)
	grant(t, config, namespace)
	for _, file := range files {
		applyClusterWide(t, config, file)
	}
	config, log := testConfig(t)
	config.Impersonate.UserName = "system:serviceaccount:" + namespace + ":inhaul-agent"
	return start(t, config, log, namespace), namespace
}

// grant applies deploy/rbac.yaml for a service account in namespace.
func grant(t *testing.T, config *rest.Config, namespace string) {
	t.Helper()
	connections, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../../deploy/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plurals := map[string]string{"Role": "roles", "ClusterRole": "clusterroles", "RoleBinding": "rolebindings", "ClusterRoleBinding": "clusterrolebindings"}
	for document := range bytes.SplitSeq(content, []byte("---\n")) {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			t.Fatal(err)
		}
		plural, ok := plurals[o.GetKind()]
		if !ok {
			continue // impersonation needs no ServiceAccount
		}
		path := []string{"/apis/rbac.authorization.k8s.io/v1"}
		if strings.HasPrefix(plural, "cluster") {
			o.SetName(o.GetName() + "-" + namespace)
			_ = unstructured.SetNestedField(o.Object, o.GetName(), "roleRef", "name")
		} else {
			path = append(path, "namespaces", namespace)
		}
		if subjects, found, _ := unstructured.NestedSlice(o.Object, "subjects"); found {
			subjects[0].(map[string]any)["namespace"] = namespace
			_ = unstructured.SetNestedSlice(o.Object, subjects, "subjects")
		} else {
			unstructured.RemoveNestedField(o.Object, "roleRef")
		}
		body, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, plural, o.GetName())
		err = connections.custom.Patch(types.ApplyPatchType).AbsPath(path...).
			Param("fieldManager", "test").Param("force", "true").Body(body).Do(t.Context()).Error()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(plural, "cluster") {
			t.Cleanup(func() {
				_ = connections.custom.Delete().AbsPath(path...).Do(context.WithoutCancel(t.Context())).Error() // best effort
			})
		}
	}
}
