package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// TestRollbacksByTheirAuthors makes Rollbacks as people would, and takes them with
// the rights of the agent.
func TestRollbacksByTheirAuthors(t *testing.T) {
	t.Parallel()
	f, name := asAgent(t, "admission.yaml", "rollback-role.yaml")
	alice, mallory := person(t, "alice-"+name), person(t, "mallory-"+name)
	f.letRollBack(t, name, "alice-"+name)

	tries := 0 // the policy may have been made a moment ago
	eventually(t, "the API server refuses what is asked in another's name", func() bool {
		tries++
		err := askRollback(t, alice, name, fmt.Sprintf("forged-%d", tries), "mallory-"+name)
		return err != nil && strings.Contains(err.Error(), "kubectl auth whoami")
	})
	if err := askRollback(t, mallory, name, "mine", "mallory-"+name); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("who has no right: got %v, want it forbidden", err)
	}
	if err := askRollback(t, alice, name+"-production", "elsewhere", "alice-"+name); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("in another namespace: got %v, want it forbidden", err)
	}
	time.Sleep(time.Second) // a policy of the same second is no proof
	if err := askRollback(t, alice, name, "mine", "alice-"+name); err != nil {
		t.Fatal(err)
	}
	r := f.awaitRequest(t, "mine")
	if r.By != "alice-"+name || r.To != "previous" || r.Line.Environment != name || time.Since(r.CreatedAt) > time.Hour {
		t.Errorf("got %+v", r)
	}
	told := time.After(patience)
	for line := (agent.Line{}); line != r.Line; { // other tests have lines of their own
		select {
		case line = <-f.Changed():
		case <-told:
			t.Fatal("the agent was not told of it")
		}
	}
	if err := f.Vouch(t.Context(), r); err != nil {
		t.Error(err)
	}
	f.answer(t, r, alice)
}

// answer tells alice, whose words stay what they were, and keeps no more than the
// newest answers.
func (f *fixture) answer(t *testing.T, r agent.Request, alice clients) {
	t.Helper()
	r.Answer = agent.Answer{Phase: agent.RequestRefused, Message: "no", At: time.Now()}
	if err := f.Conclude(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if left := f.Requests(); named(left, r.Name) != nil {
		t.Errorf("got %v without an answer, at once after it", left)
	}
	for what, patch := range map[string]string{"never changes": `{"spec":{"to":"1"}}`, "forbidden": `{"spec":{"requestedBy":"x"}}`} {
		as := map[string]clients{"never changes": f.admin, "forbidden": alice}[what]
		err := as.custom.Patch(types.MergePatchType).Namespace(r.Namespace).Resource(v1alpha1.Rollbacks).Name(r.Name).Body([]byte(patch)).Do(t.Context()).Error()
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("changing a rollback: got %v, want %q", err, what)
		}
	}
	var seen v1alpha1.Rollback
	if err := alice.custom.Get().Namespace(r.Namespace).Resource(v1alpha1.Rollbacks).Name(r.Name).Do(t.Context()).Into(&seen); err != nil || seen.Status.Message != "no" {
		t.Errorf("alice got %+v, %v", seen.Status, err)
	}
	for n := range maxAnswered {
		name := fmt.Sprintf("again-%d", n)
		if err := askRollback(t, alice, r.Namespace, name, r.By); err != nil {
			t.Fatal(err)
		}
		next := f.awaitRequest(t, name)
		next.Answer = r.Answer
		if err := f.Conclude(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	var list v1alpha1.RollbackList
	err := alice.custom.Get().Namespace(r.Namespace).Resource(v1alpha1.Rollbacks).Do(t.Context()).Into(&list)
	answered := slices.DeleteFunc(list.Items, func(o v1alpha1.Rollback) bool { return pending(&o) })
	if err != nil || len(answered) != maxAnswered {
		t.Errorf("got %d answered rollbacks, %v; want %d", len(answered), err, maxAnswered)
	}
}

func (f *fixture) awaitRequest(t *testing.T, name string) agent.Request {
	t.Helper()
	var found *agent.Request
	eventually(t, "the agent sees rollback "+name, func() bool {
		found = named(f.Requests(), name)
		return found != nil
	})
	return *found
}

func named(requests []agent.Request, name string) *agent.Request {
	for _, r := range requests {
		if r.Name == name {
			return &r
		}
	}
	return nil
}

// person is somebody who has no rights but those that a test gives.
func person(t *testing.T, name string) clients {
	t.Helper()
	config, _ := testConfig(t)
	config.Impersonate.UserName = name
	c, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// askRollback makes a Rollback; the line is that of the test.
func askRollback(t *testing.T, as clients, namespace, name, by string) error {
	t.Helper()
	return as.custom.Post().Namespace(namespace).Resource(v1alpha1.Rollbacks).Body(&v1alpha1.Rollback{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Rollback"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       v1alpha1.RollbackSpec{App: "shop", Environment: namespace, To: "previous", RequestedBy: by},
	}).Do(t.Context()).Error()
}

// letRollBack binds the role of deploy/rollback-role.yaml to a user.
func (f *fixture) letRollBack(t *testing.T, namespace, user string) {
	t.Helper()
	err := f.admin.custom.Post().AbsPath("/apis/rbac.authorization.k8s.io/v1/namespaces", namespace, "rolebindings").Body(fmt.Appendf(nil,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"rollback"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"inhaul-rollback"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, user)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

// applyClusterWide applies the objects of a file in deploy, which are in no
// namespace. They stay: other tests have the same.
func applyClusterWide(t *testing.T, config *rest.Config, file string) {
	t.Helper()
	content, err := os.ReadFile("../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	connections, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	plurals := map[string]string{
		"ClusterRole": "clusterroles", "ValidatingAdmissionPolicy": "validatingadmissionpolicies", "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
	}
	for document := range bytes.SplitSeq(content, []byte("\n---\n")) {
		var o unstructured.Unstructured
		if err := yaml.UnmarshalStrict(document, &o.Object); err != nil {
			t.Fatal(err)
		}
		body, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		err = connections.custom.Patch(types.ApplyPatchType).AbsPath("/apis", o.GetAPIVersion(), plurals[o.GetKind()], o.GetName()).
			Param("fieldManager", "test").Param("force", "true").Body(body).Do(context.WithoutCancel(t.Context())).Error()
		if err != nil {
			t.Fatal(err)
		}
	}
}
