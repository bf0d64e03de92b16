package render

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// What follows holds for every object of every story.

func (s story) everything(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return append(s.objects(t), s.predeploy(t)...)
}

func TestEveryObjectIsAllowedNamedAndLabelled(t *testing.T) {
	t.Parallel()
	for _, s := range stories(t) {
		seen := map[string]bool{}
		for _, object := range s.everything(t) {
			at := s.folder + ": " + object.GetKind() + " " + object.GetName()
			if object.GetKind() == "Secret" || !slices.Contains(Allowed(), object.GroupVersionKind()) {
				t.Errorf("%s: %s is not to be rendered", at, object.GroupVersionKind())
			}
			if seen[object.GetKind()+object.GetName()] {
				t.Errorf("%s is there twice", at)
			}
			seen[object.GetKind()+object.GetName()] = true
			if got := object.GetNamespace(); got != s.release.Namespace || got == "" {
				t.Errorf("%s: got namespace %q, want %q", at, got, s.release.Namespace)
			}
			for _, problem := range validation.NameIsDNSSubdomain(object.GetName(), false) {
				t.Errorf("%s: %s", at, problem)
			}
			if longest := map[string]int{"CronJob": maxCronJob, "Job": maxLabel, "Service": maxLabel}[object.GetKind()]; longest > 0 && len(object.GetName()) > longest {
				t.Errorf("%s: the name has %d characters, want at most %d", at, len(object.GetName()), longest)
			}
			for _, problem := range metavalidation.ValidateLabels(object.GetLabels(), field.NewPath("labels")) {
				t.Errorf("%s: %v", at, problem)
			}
			for _, key := range []string{LabelManagedBy, LabelPartOf, LabelApp, LabelEnvironment} {
				if object.GetLabels()[key] == "" {
					t.Errorf("%s lacks the label %s", at, key)
				}
			}
			if object.Object["status"] != nil || object.GetCreationTimestamp() != (metav1.Time{}) {
				t.Errorf("%s claims what it does not mean", at)
			}
		}
	}
}

// pods are the pod templates of an object.
func pods(t *testing.T, object *unstructured.Unstructured) []corev1.PodTemplateSpec {
	t.Helper()
	switch object.GetKind() {
	case "Deployment":
		return []corev1.PodTemplateSpec{typed[appsv1.Deployment](t, object).Spec.Template}
	case "Job":
		return []corev1.PodTemplateSpec{typed[batchv1.Job](t, object).Spec.Template}
	case "CronJob":
		return []corev1.PodTemplateSpec{typed[batchv1.CronJob](t, object).Spec.JobTemplate.Spec.Template}
	}
	return nil
}

// typed reads an object strictly: a field that its kind does not have is an
// error.
func typed[T any](t *testing.T, object *unstructured.Unstructured) T {
	t.Helper()
	var into T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &into, true); err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return into
}

// TestPodsSatisfyTheRestrictedProfile asks the very code of Pod Security. Only a
// user that the image does not number is beyond what a release can promise.
func TestPodsSatisfyTheRestrictedProfile(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := func(l api.Level) api.LevelVersion { return api.LevelVersion{Level: l, Version: api.LatestVersion()} }
	for _, s := range stories(t) {
		_, numbered := id(strings.Split(s.release.App.ImageUser, ":")[0])
		for _, object := range s.everything(t) {
			for _, pod := range pods(t, object) {
				at := s.folder + ": " + object.GetKind() + " " + object.GetName()
				restricted := policy.AggregateCheckResults(evaluator.EvaluatePod(level(api.LevelRestricted), &pod.ObjectMeta, &pod.Spec))
				if !restricted.Allowed && (numbered || !slices.Equal(restricted.ForbiddenReasons, []string{"runAsNonRoot != true"})) {
					t.Errorf("%s: restricted: %s", at, restricted.ForbiddenDetail())
				}
				if numbered && !restricted.Allowed || !numbered && restricted.Allowed {
					t.Errorf("%s: got restricted %v, want %v for the image's user %q", at, restricted.Allowed, numbered, s.release.App.ImageUser)
				}
				baseline := policy.AggregateCheckResults(evaluator.EvaluatePod(level(api.LevelBaseline), &pod.ObjectMeta, &pod.Spec))
				if !baseline.Allowed {
					t.Errorf("%s: baseline: %s", at, baseline.ForbiddenDetail())
				}
			}
		}
	}
}

// TestPodsAreConfined is about what Pod Security does not look at.
func TestPodsAreConfined(t *testing.T) {
	t.Parallel()
	for _, s := range stories(t) {
		for _, object := range s.everything(t) {
			for _, pod := range pods(t, object) {
				at := s.folder + ": " + object.GetKind() + " " + object.GetName()
				if token := pod.Spec.AutomountServiceAccountToken; token == nil || *token || pod.Spec.ServiceAccountName != "" {
					t.Errorf("%s has a service account's token", at)
				}
				if pod.Spec.NodeName != "" || pod.Spec.PriorityClassName != "" || pod.Spec.HostNetwork {
					t.Errorf("%s asks for more than its share", at)
				}
				for _, container := range pod.Spec.Containers {
					if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
						t.Errorf("%s: container %s is not bounded", at, container.Name)
					}
				}
				for _, volume := range pod.Spec.Volumes {
					if volume.EmptyDir == nil && volume.PersistentVolumeClaim == nil {
						t.Errorf("%s: volume %s is neither empty nor a claim", at, volume.Name)
					}
				}
			}
		}
	}
}

// TestPodsAreSelectedByTheirOwnAlone also proves that the policy of the app
// covers every pod.
func TestPodsAreSelectedByTheirOwnAlone(t *testing.T) {
	t.Parallel()
	for _, s := range stories(t) {
		objects := s.everything(t)
		for _, object := range objects {
			for _, pod := range pods(t, object) {
				covered := false
				for _, other := range objects {
					selector := selectorOf(t, other)
					matches := selector != nil && selector.Matches(labels.Set(pod.Labels))
					covered = covered || matches && other.GetName() == PolicyName(s.release.Line.App)
					own := other.GetName() == object.GetName() || other.GetName() == PolicyName(s.release.Line.App)
					if matches && !own {
						t.Errorf("%s: %s %s selects the pods of %s %s", s.folder, other.GetKind(), other.GetName(), object.GetKind(), object.GetName())
					}
				}
				if !covered {
					t.Errorf("%s: no policy covers the pods of %s %s", s.folder, object.GetKind(), object.GetName())
				}
			}
		}
	}
}

// selectorOf is what an object selects pods by; nil if it selects none.
func selectorOf(t *testing.T, object *unstructured.Unstructured) labels.Selector {
	t.Helper()
	var selector *metav1.LabelSelector
	switch object.GetKind() {
	case "Service":
		return labels.SelectorFromSet(typed[corev1.Service](t, object).Spec.Selector)
	case "Deployment":
		selector = typed[appsv1.Deployment](t, object).Spec.Selector
	case "PodDisruptionBudget":
		selector = typed[policyv1.PodDisruptionBudget](t, object).Spec.Selector
	case "NetworkPolicy":
		selector = new(typed[networkingv1.NetworkPolicy](t, object).Spec.PodSelector)
	default:
		return nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
