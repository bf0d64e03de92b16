package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// SecretReader reads what references of one scheme point at. Every call has
// requestTimeout.
type SecretReader interface {
	// Read returns the value of ref for an environment's namespace. A
	// *MissingSecretError says that there is none and that asking again is of no
	// use; any other error, that asking again may help. No error has a value in it.
	Read(ctx context.Context, namespace string, ref spec.Reference) (string, error)
}

// MissingSecretError says that a reference points at nothing that may be read.
type MissingSecretError struct {
	Message string // got what, and what to do about it; never a value
}

func (e *MissingSecretError) Error() string { return e.Message }

func missing(format string, a ...any) *MissingSecretError {
	return &MissingSecretError{Message: fmt.Sprintf(format, a...)}
}

// lookup finds the values of references for one release. It remembers them for
// as long as that release is being written, and no longer.
type lookup struct {
	namespace string
	readers   map[string]SecretReader // by scheme
	seed      seed
	known     map[string]string // variable and reference to value
}

// values returns the values that every holder's variables refer to, by holder
// and variable. A *agent.Rejected names all that are missing at once.
func (l *lookup) values(ctx context.Context, holders []render.Holder) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	var gone absences
	for _, h := range holders {
		all[h.Name] = map[string]string{}
		for _, variable := range slices.Sorted(maps.Keys(h.Secrets)) {
			value, err := l.value(ctx, variable, h.Secrets[variable])
			if none := (*MissingSecretError)(nil); errors.As(err, &none) {
				gone.add(h, variable, none.Message)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading the secret of %s: %s: %w", holderName(h), variable, err)
			}
			all[h.Name][variable] = value
		}
	}
	return all, gone.rejected(l.namespace)
}

func (l *lookup) value(ctx context.Context, variable, text string) (string, error) {
	known := variable + " " + text
	if value, ok := l.known[known]; ok {
		return value, nil
	}
	value, err := l.read(ctx, variable, text)
	if err == nil {
		l.known[known] = value
	}
	return value, err
}

func (l *lookup) read(ctx context.Context, variable, text string) (string, error) {
	ref, err := spec.ParseReference(text)
	if err != nil {
		return "", missing("%v", err)
	}
	if ref.Scheme == spec.SchemeGenerate {
		bytes, err := strconv.Atoi(ref.Name)
		if err != nil {
			return "", err // not after ParseReference
		}
		return l.seed.value(variable, bytes)
	}
	reader, ok := l.readers[ref.Scheme]
	if !ok {
		return "", missing("this agent cannot read %s:// references: use %s://NAME#KEY, or ask the platform owner", ref.Scheme, spec.SchemeKubernetes)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	return reader.Read(ctx, l.namespace, ref)
}

// absences are the secrets that are missing, each with everybody who needs it.
type absences []absence

type absence struct {
	variable, message string
	services          []string
	reference         string
}

func (a *absences) add(h render.Holder, variable, message string) {
	i := slices.IndexFunc(*a, func(known absence) bool { return known.variable == variable && known.message == message })
	if i < 0 {
		i = len(*a)
		*a = append(*a, absence{variable: variable, message: message, reference: h.Secrets[variable]})
	}
	if who := holderName(h); !slices.Contains((*a)[i].services, who) {
		(*a)[i].services = append((*a)[i].services, who)
	}
}

// rejected is nil if nothing is missing. The Secret that it names is the first.
func (a absences) rejected(namespace string) error {
	if len(a) == 0 {
		return nil
	}
	var lines []string
	for _, one := range a {
		lines = append(lines, strings.Join(one.services, ", ")+": "+one.variable+": "+one.message)
	}
	first, err := spec.ParseReference(a[0].reference)
	name := first.Name
	if err != nil {
		name = a[0].variable // the text is no reference: it may be the secret itself
	}
	return &agent.Rejected{Object: secretReference(namespace, name), Message: strings.Join(lines, "; "), Setting: a[0].setting()}
}

// setting is where inhaul.yaml may have the reference, in its words.
func (a absence) setting() string {
	if who := a.services[0]; !slices.Contains(agent.TaskKinds(), agent.TaskKind(who)) {
		return "services." + who + ".secrets." + a.variable
	}
	return "secrets." + a.variable
}

// holderName is what people call a holder: the name of the service, or of the task.
func holderName(h render.Holder) string {
	if isTask(h) {
		return strings.TrimPrefix(h.Name, ".")
	}
	name, _, _ := strings.Cut(h.Name, ".") // of the scaler of its queue
	return name
}

func secretReference(namespace, name string) agent.Object {
	return agent.Object{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name}
}

// namespaceSecrets reads k8s:// references: Secrets of the environment's own
// namespace. What it has read it keeps for its own, short life.
type namespaceSecrets struct {
	core typed.SecretsGetter
	read map[string]*corev1.Secret
}

// Read implements SecretReader.
func (s *namespaceSecrets) Read(ctx context.Context, namespace string, ref spec.Reference) (string, error) {
	secret := s.read[ref.Name]
	if secret == nil {
		var err error
		secret, err = s.core.Secrets(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return "", missing("there is no Secret %q in namespace %q: kubectl -n %s create secret generic %s --from-literal=%s=VALUE",
				ref.Name, namespace, namespace, ref.Name, ref.Key)
		case apierrors.IsForbidden(err) && !rolesUnread(err):
			return "", missing("the agent may not read Secret %q in namespace %q: ask the platform owner", ref.Name, namespace)
		case err != nil:
			return "", err
		}
		s.read[ref.Name] = secret
	}
	switch {
	case secret.Labels[render.LabelManagedBy] == render.Manager:
		return "", missing("Secret %q in namespace %q is Inhaul's own: name the one that it was made from", ref.Name, namespace)
	case secret.Type == corev1.SecretTypeServiceAccountToken:
		return "", missing("Secret %q in namespace %q is a service account's token, which no app is given", ref.Name, namespace)
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return "", missing("Secret %q in namespace %q has no key %q: kubectl -n %s patch secret %s -p '{\"stringData\":{\"%s\":\"VALUE\"}}'",
			ref.Name, namespace, ref.Key, namespace, ref.Name, ref.Key)
	}
	return string(value), nil
}
