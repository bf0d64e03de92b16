package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// state is what an app is in the cluster, as far as a release decides it.
type state struct {
	release  string            // that the Deployment names
	template map[string]any    // of its pods
	pods     map[string]bool   // UIDs; true: ready
	config   map[string]string // all that its pods get from ConfigMaps and Secrets
}

// state reads the state of web.
func (x *trial) state(t *testing.T) state {
	t.Helper()
	s := state{pods: map[string]bool{}, config: map[string]string{}}
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	d, err := x.client.Resource(apps.WithResource("deployments")).Namespace(x.namespace).Get(t.Context(), x.app+"-web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.release = d.GetAnnotations()["inhaul.dev/release"]
	s.template, _, _ = unstructured.NestedMap(d.Object, "spec", "template")
	for _, pod := range x.pods(t) {
		s.pods[string(pod.UID)] = ready(pod)
		for _, from := range pod.Spec.Containers[0].EnvFrom {
			if from.ConfigMapRef != nil {
				maps.Copy(s.config, x.data(t, "configmaps", from.ConfigMapRef.Name))
			}
			if from.SecretRef != nil {
				maps.Copy(s.config, x.data(t, "secrets", from.SecretRef.Name))
			}
		}
	}
	return s
}

func ready(pod corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// pods are those of web.
func (x *trial) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := x.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(x.namespace).
		List(t.Context(), metav1.ListOptions{LabelSelector: "inhaul.dev/service=web"})
	if err != nil {
		t.Fatal(err)
	}
	var pods corev1.PodList
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.UnstructuredContent(), &pods); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// data is what a ConfigMap or a Secret has; a Secret's is base64.
func (x *trial) data(t *testing.T, plural, name string) map[string]string {
	t.Helper()
	o, err := x.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: plural}).Namespace(x.namespace).
		Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Errorf("what the pods refer to is not there: %v", err)
		return nil
	}
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkBack says whether the good release is what is there, or for a first-ever
// release whether its objects are left.
func (x *trial) checkBack(t *testing.T, f failure, number int, status v1alpha1.ReleaseStatus) string {
	t.Helper()
	if f.firstEver {
		left := x.state(t)
		if status.Phase != string(agent.Failed) || status.RestoredTo != 0 || left.release != fmt.Sprint(number) {
			t.Errorf("got phase %s, restored to %d, objects of release %q; want Failed, none, its own", status.Phase, status.RestoredTo, left.release)
			return "no"
		}
		return "its objects are left"
	}
	if status.Phase != string(agent.RolledBack) || status.RestoredTo != number-1 {
		t.Errorf("got phase %s, restored to %d; want RolledBack, %d", status.Phase, status.RestoredTo, number-1)
		return "no"
	}
	diff := ""
	for deadline := time.Now().Add(goneWithin); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if diff = cmp.Diff(x.good, x.state(t), cmp.AllowUnexported(state{})); diff == "" {
			return "yes"
		}
	}
	t.Errorf("the good release is not back after %s: got +, want -\n%s", goneWithin, diff)
	return "no"
}

// checkSecrecy looks for the value of the app's secret where people read.
func (x *trial) checkSecrecy(t *testing.T, check checkRun) {
	t.Helper()
	texts := map[string]string{"the check": text(t, check), "the agent's log": x.agentLog(t)}
	for _, v := range x.history.all() {
		texts[v.object.GetKind()+" "+v.object.GetName()] += text(t, v.object.Object)
	}
	for where, told := range texts {
		for _, secret := range []string{x.token, base64.StdEncoding.EncodeToString([]byte(x.token))} {
			if i := strings.Index(told, secret); i >= 0 {
				t.Errorf("%s has the value of a secret: …%s…", where, told[max(0, i-80):i])
			}
		}
	}
}

func text(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// agentLog is what the agent has logged, as a process or as a pod.
func (x *trial) agentLog(t *testing.T) string {
	t.Helper()
	if log, err := os.ReadFile(filepath.Join(x.dir, "log", "agent.log")); err == nil {
		return string(log)
	}
	return outputOf(t, exec.Command(os.Getenv("LAB_KUBECTL"), "-n", "inhaul", "logs", "deployment/inhaul-agent", "-c", "agent"))
}
