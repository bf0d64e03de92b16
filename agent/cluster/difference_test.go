package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/api/v1alpha1"
)

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		live, want string
		kind       string
		told       []string
	}{
		"nothing": {live: `{"spec":{"replicas":2}}`, want: `{"spec":{"replicas":2}}`},
		"what the API server and controllers write": {
			live: `{"metadata":{"resourceVersion":"1","generation":1},"status":{"replicas":1}}`,
			want: `{"metadata":{"resourceVersion":"2","generation":2,"managedFields":[]},"status":{"replicas":2}}`,
		},
		"a number": {live: `{"spec":{"replicas":5}}`, want: `{"spec":{"replicas":2}}`, told: []string{"spec.replicas: 5, want 2"}},
		"a field of an item": {
			live: `{"spec":{"containers":[{"name":"b"},{"name":"web","image":"x"}]}}`,
			want: `{"spec":{"containers":[{"name":"web","image":"y"},{"name":"b"}]}}`,
			told: []string{"spec.containers[web].image: x, want y"},
		},
		"an item more and one less": {
			live: `{"spec":{"ports":[{"port":81}]}}`, want: `{"spec":{"ports":[{"port":80}]}}`,
			told: []string{"spec.ports[80]: removed", "spec.ports[81]: added"},
		},
		"a list without keys": {
			live: `{"spec":{"args":["a"]}}`, want: `{"spec":{"args":["b"]}}`, told: []string{"spec.args: changed"},
		},
		"the order of items": {
			live: `{"spec":{"x":[{"name":"a"},{"name":"b"}]}}`, want: `{"spec":{"x":[{"name":"b"},{"name":"a"}]}}`, told: []string{"spec.x: changed"},
		},
		"items with one key twice": {
			live: `{"spec":{"x":[{"name":"a"},{"name":"a"}]}}`, want: `{"spec":{"x":[{"name":"a"}]}}`, told: []string{"spec.x: changed"},
		},
		"a label": {
			live: `{"metadata":{"labels":{"a/b.c":"1"}}}`, want: `{"metadata":{}}`, told: []string{"metadata.labels: added"},
		},
		"one of several labels": {
			live: `{"metadata":{"labels":{"a/b.c":"1","d":"e"}}}`, want: `{"metadata":{"labels":{"d":"e"}}}`,
			told: []string{"metadata.labels[a/b.c]: 1, want none"},
		},
		"a variable with a secret's name": {
			live: `{"env":[{"name":"DB_PASSWORD","value":"hunter2"}]}`, want: `{"env":[{"name":"DB_PASSWORD","value":"hunter3"}]}`,
			told: []string{"env[DB_PASSWORD].value: [redacted], want [redacted]"},
		},
		"a value that looks like a secret": {
			live: `{"env":[{"name":"X","value":"postgres://me:hunter2@db/x"}]}`, want: `{"env":[{"name":"X","value":"a\nb"}]}`,
			told: []string{"env[X].value: postgres://[redacted]@db/x, want a b"},
		},
		"a new variable": {
			live: `{"env":[{"name":"X","value":"1"},{"name":"PASSWORD","value":"hunter2"}]}`, want: `{"env":[{"name":"X","value":"1"}]}`,
			told: []string{"env[PASSWORD]: added"},
		},
		"configuration": {
			kind: "ConfigMap", live: `{"data":{"A":"hunter2","B":"x"}}`, want: `{"data":{"A":"hunter3"}}`,
			told: []string{"data.A: changed", "data.B: added"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := toldDifferences(test.kind, differences(parsed(t, test.live), parsed(t, test.want)))
			if diff := cmp.Diff(test.told, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsToldOfDifferencesIsBounded(t *testing.T) {
	t.Parallel()
	live, want := map[string]any{}, map[string]any{}
	for i := range 30 {
		name := fmt.Sprintf("%02d", i) + strings.Repeat("x", 1000)
		live[name], want[name] = strings.Repeat("ü", 1000), "b"
	}
	got := toldDifferences("Deployment", differences(map[string]any{"spec": live}, map[string]any{"spec": want}))
	if len(got) != v1alpha1.MaxDriftFields || got[len(got)-1] != "and 22 more" {
		t.Fatalf("got %d lines, the last %q", len(got), got[len(got)-1])
	}
	for _, line := range got {
		if len(line) > v1alpha1.MaxDriftField {
			t.Errorf("got a line of %d bytes", len(line))
		}
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	at := metav1.NewTime(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	soon := metav1.NewTime(at.Add(time.Second))
	entry := func(manager, subresource, fields string, at *metav1.Time) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, Time: at, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	entries := []metav1.ManagedFieldsEntry{
		entry("inhaul", "", `{"f:spec":{"f:replicas":{},"f:image":{}}}`, &soon),
		entry("kubectl", "scale", `{"f:spec":{"f:replicas":{}}}`, nil),
		entry("kube-controller-manager", "status", `{"f:status":{"f:replicas":{}}}`, &soon),
		entry("kubectl-edit", "", `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{}}}}}`, &at),
		entry("argocd", "", `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{"f:image":{}}},"f:rules":{}}}`, &soon),
		entry("odd", "", `not JSON`, &at),
	}
	tests := map[string]struct {
		live, want string
		owners     string
	}{
		"a field":           {`{"spec":{"replicas":5}}`, `{"spec":{"replicas":2}}`, "kubectl (scale)"},
		"of an item":        {`{"spec":{"containers":[{"name":"web","image":"x"}]}}`, `{"spec":{"containers":[{"name":"web","image":"y"}]}}`, "argocd, kubectl-edit"},
		"of another item":   {`{"spec":{"containers":[{"name":"b","image":"x"}]}}`, `{"spec":{"containers":[{"name":"b","image":"y"}]}}`, ""},
		"below a whole":     {`{"spec":{"rules":{"x":1}}}`, `{"spec":{"rules":{"x":2}}}`, "argocd"},
		"taken out":         {`{"spec":{}}`, `{"spec":{"image":"x"}}`, ""},
		"two at once":       {`{"spec":{"replicas":5,"rules":1}}`, `{"spec":{"replicas":2,"rules":2}}`, "argocd, kubectl (scale)"},
		"a controller's is": {`{"spec":{"x":5}}`, `{"spec":{"x":2}}`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []fieldPath
			for _, d := range differences(parsed(t, test.live), parsed(t, test.want)) {
				paths = append(paths, d.path)
			}
			if got := strings.Join(owners(entries, paths), ", "); got != test.owners {
				t.Errorf("got %q, want %q", got, test.owners)
			}
		})
	}
}
