package cluster

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// A seed is what an app's generated values come from in one namespace: random,
// made once, never changed, never pruned. A value is derived from the seed and
// the name of its variable, so that one Secret that is only ever created serves
// variables that nobody has thought of yet, and no crash can leave half of them.
//
// The derivations below are frozen: a change would give every app another
// secret key.
type seed []byte

const (
	seedBytes = 64 // as many random bits as the longest useful key has
	seedKey   = "seed"
)

// What is derived from a seed.
const (
	deriveValue = "inhaul.dev/generated\x00" // and the name of the variable
	deriveNames = "inhaul.dev/secret-names"
)

// generatedName is the name of the Secret that has an app's seed.
func generatedName(app string) string { return render.Label(app) + "-generated" }

// newSeed makes a seed, and the Secret to keep it in.
func newSeed(r agent.Release) (seed, *corev1.Secret) {
	s := make(seed, seedBytes)
	_, _ = rand.Read(s) // never fails: https://pkg.go.dev/crypto/rand#Read
	immutable := true
	return s, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: generatedName(r.Line.App), Namespace: r.Namespace, Labels: appLabels(r),
			Annotations: map[string]string{
				"kubernetes.io/description": "What generate:// secrets are made from. Without it they all change. It is never pruned.",
			},
		},
		Immutable: &immutable,
		Data:      map[string][]byte{seedKey: s},
	}
}

// readSeed takes the seed out of its Secret.
func readSeed(secret *corev1.Secret) (seed, error) {
	if s := secret.Data[seedKey]; len(s) == seedBytes {
		return s, nil
	}
	return nil, &agent.Rejected{Object: secretReference(secret.Namespace, secret.Name), Message: fmt.Sprintf(
		"its key %q is not what Inhaul has put there: bring it back from a backup, or delete the Secret, which changes every generate:// secret",
		seedKey)}
}

// value is the generated value of a variable: so many bytes, in hex.
func (s seed) value(variable string, bytes int) (string, error) {
	value, err := hkdf.Key(sha256.New, s, nil, deriveValue+variable, bytes)
	return hex.EncodeToString(value), err
}

// digest stands for data in the name of a Secret. Without the seed nobody can
// try from a name what the data may be.
func (s seed) digest(data map[string][]byte) (string, error) {
	key, err := hkdf.Key(sha256.New, s, nil, deriveNames, sha256.Size)
	if err != nil {
		return "", err
	}
	content, err := json.Marshal(data) // sorted by key, values in base64: one form only
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(content)
	return hex.EncodeToString(mac.Sum(nil)), nil
}
