package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Reference says where a secret's value is kept:
//
//	k8s://NAME#KEY        a Secret of the environment's namespace
//	generate://BYTES      made once by the agent and kept: BYTES random bytes, in hex
//	aws-sm://NAME#KEY     AWS Secrets Manager; without #KEY the whole value
//	aws-ssm:///PATH       AWS Systems Manager Parameter Store
type Reference struct {
	Scheme string // "k8s", "generate", "aws-sm", "aws-ssm"
	Name   string // of the secret; of generate, the number of bytes; of aws-ssm, "/PATH"
	Key    string
}

// The schemes of a Reference.
const (
	SchemeKubernetes     = "k8s"
	SchemeGenerate       = "generate"
	SchemeSecretsManager = "aws-sm"
	SchemeParameterStore = "aws-ssm"
)

// referenceForms is what a message says is wanted.
const referenceForms = "k8s://NAME#KEY, generate://BYTES, aws-sm://NAME#KEY or aws-ssm:///PATH"

// The shapes of a reference's parts, compiled once; they never change.
var (
	secretName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)      // RFC 1123 subdomain
	secretKey  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)               // key of a Secret
	awsName    = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)           // Secrets Manager
	awsPath    = regexp.MustCompile(`^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`) // Parameter Store
)

// ParseReference reads a reference. Its error says what is wanted and does not
// repeat the text, which may be a secret that was put there by mistake.
func ParseReference(text string) (Reference, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Reference{}, fmt.Errorf("want a reference to where the secret is kept: %s", referenceForms)
	}
	name, key, keyed := strings.Cut(rest, "#")
	r := Reference{Scheme: scheme, Name: name, Key: key}
	switch scheme {
	case SchemeKubernetes:
		if len(name) <= 253 && secretName.MatchString(name) && keyed && secretKey.MatchString(key) {
			return r, nil
		}
		return Reference{}, fmt.Errorf("want k8s://NAME#KEY: the name of a Secret and one of its keys")
	case SchemeGenerate:
		if n, err := strconv.Atoi(name); err == nil && strconv.Itoa(n) == name && n >= 16 && n <= 128 && !keyed {
			return r, nil
		}
		return Reference{}, fmt.Errorf("want generate://BYTES: 16 to 128 random bytes")
	case SchemeSecretsManager:
		if awsName.MatchString(name) && (!keyed || secretKey.MatchString(key)) {
			return r, nil
		}
		return Reference{}, fmt.Errorf("want aws-sm://NAME#KEY: the name of a secret, not an ARN, and a key of its JSON")
	case SchemeParameterStore:
		if len(name) <= 1011 && awsPath.MatchString(name) && !keyed {
			return r, nil
		}
		return Reference{}, fmt.Errorf("want aws-ssm:///PATH: the path of a parameter")
	}
	return Reference{}, fmt.Errorf("want one of %s, got another scheme", referenceForms)
}
