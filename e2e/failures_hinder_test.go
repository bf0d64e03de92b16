package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// registryRefuses makes the registry answer requests of that path with status.
func (x *trial) registryRefuses(t *testing.T, path string, status int) {
	t.Helper()
	x.registryAdmin(t, http.MethodPost, map[string]any{"path": path, "status": status})
}

// registryObeys takes back whatever registryRefuses said.
func (x *trial) registryObeys(t *testing.T) {
	t.Helper()
	x.registryAdmin(t, http.MethodDelete, nil)
}

func (x *trial) registryAdmin(t *testing.T, method string, body any) {
	t.Helper()
	address := "https://" + os.Getenv("LAB_REGISTRY") + "/_lab/faults"
	if err := adminRequest(trusting(t, os.Getenv("LAB_CA_BUNDLE")), method, address, body); err != nil {
		t.Fatal(err)
	}
}

// pushIndex pushes an index with the app's image for one other architecture.
func (x *trial) pushIndex(t *testing.T, architecture string) string {
	t.Helper()
	options := []remote.Option{
		remote.WithContext(t.Context()), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(trusting(t, os.Getenv("LAB_CA_BUNDLE"))),
	}
	reference, err := name.NewDigest(x.image)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference, options...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture = architecture
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
	})
	tag := reference.Context().Tag(architecture)
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return reference.Context().Digest(digest.String()).Name()
}

// quota leaves the namespace no memory beyond what the good version has and one
// more pod of it.
func quota(t *testing.T, x *trial) func() {
	t.Helper()
	x.create(t, "resourcequotas", x.namespace, map[string]any{
		"apiVersion": "v1", "kind": "ResourceQuota", "metadata": map[string]any{"name": "small"},
		"spec": map[string]any{"hard": map[string]any{"limits.memory": "100Mi"}},
	})
	quotas := x.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}).Namespace(x.namespace)
	within(t, "the quota counts", func() bool {
		o, err := quotas.Get(t.Context(), "small", metav1.GetOptions{})
		if err != nil {
			return false
		}
		used, _, _ := unstructured.NestedString(o.Object, "status", "used", "limits.memory")
		return used == "64Mi"
	})
	return func() {}
}

// policy denies Deployments of the namespace much memory.
func policy(t *testing.T, x *trial) func() {
	t.Helper()
	const group = "admissionregistration.k8s.io/v1"
	x.create(t, "validatingadmissionpolicies", "", map[string]any{
		"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": x.app},
		"spec": map[string]any{
			"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
				"apiGroups": []any{"apps"}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE", "UPDATE"}, "resources": []any{"deployments"},
			}}},
			"validations": []any{map[string]any{
				"expression": `object.spec.template.spec.containers.all(c, quantity(c.resources.limits["memory"]).compareTo(quantity("64Mi")) <= 0)`,
				"message":    "a container may have 64Mi of memory at the most",
			}},
		},
	})
	x.create(t, "validatingadmissionpolicybindings", "", map[string]any{
		"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": map[string]any{"name": x.app},
		"spec": map[string]any{
			"policyName": x.app, "validationActions": []any{"Deny"},
			"matchResources": map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": x.namespace}}},
		},
	})
	x.untilDenied(t, "deployments", `{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"requests":{"memory":"96Mi"},"limits":{"memory":"96Mi"}}}]}}}}`)
	return func() {}
}

// podSecurity lets the namespace have restricted pods alone.
func podSecurity(t *testing.T, x *trial) func() {
	t.Helper()
	label := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	if _, err := x.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).
		Patch(t.Context(), x.namespace, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := x.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(x.namespace)
	pod := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "root"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "root", "image": x.image}}},
	}}
	within(t, "a pod that may be root is denied", func() bool {
		_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
	return func() {}
}

// untilDenied returns when a change of web's object of a kind would be denied.
func (x *trial) untilDenied(t *testing.T, plural, change string) {
	t.Helper()
	objects := x.client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: plural}).Namespace(x.namespace)
	within(t, "the policy counts", func() bool {
		_, err := objects.Patch(t.Context(), x.app+"-web", types.StrategicMergePatchType, []byte(change), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
}

// within waits for something that the cluster takes a moment for.
func within(t *testing.T, what string, claim func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !claim(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s it is not true that %s", what)
		}
	}
}

// freeze stops a process of the lab's node until thaw is called, or the test
// ends.
func (x *trial) freeze(t *testing.T, component string) (thaw func()) {
	t.Helper()
	pid := x.component(t, component)
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Errorf("%s of %s: %v", s, component, err)
		}
	}
	signal(syscall.SIGSTOP)
	thawed := false
	thaw = func() {
		if !thawed {
			signal(syscall.SIGCONT)
		}
		thawed = true
	}
	t.Cleanup(thaw)
	return thaw
}

// component finds a process among the children of the node that the lab has
// written down, so that no other can be meant.
func (x *trial) component(t *testing.T, name string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(x.dir, "processes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var records []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	}
	if err := json.Unmarshal(data, &records); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Name != "node" {
			continue
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.PID)) // any of them may be the parent
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			if pid := childOf(thread, name); pid != 0 {
				return pid
			}
		}
	}
	t.Fatalf("the lab's node has no %s", name)
	return 0
}

// childOf is the process of that name in a file of children; 0 if there is none.
func childOf(file, name string) int {
	children, err := os.ReadFile(file)
	if err != nil {
		return 0 // the thread has ended
	}
	for child := range strings.FieldsSeq(string(children)) {
		command, err := os.ReadFile(filepath.Join("/proc", child, "cmdline"))
		if pid, _ := strconv.Atoi(child); err == nil && strings.HasPrefix(string(command), name+"\x00") {
			return pid
		}
	}
	return 0
}
