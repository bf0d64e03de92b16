package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/inhaul/inhaul/lab/layout"
)

// serviceAccountBits is the RSA size that Kubernetes' documentation uses.
const serviceAccountBits = 2048

// user is one identity of the token file.
type user struct {
	file  string // kubeconfig's name
	name  string
	group string
}

func users() []user {
	return []user{
		{"admin", "admin", "system:masters"},
		{"kube-controller-manager", "system:kube-controller-manager", "system:masters"},
		{"kube-scheduler", "system:kube-scheduler", ""},
		{"kube-proxy", "system:kube-proxy", ""},
		{"kube-router", "kube-router", "system:masters"},
		{"kubelet", "system:node:" + layout.NodeName, "system:nodes"},
		{"kwok", "kwok", "system:masters"},
	}
}

// Credentials makes the service account key, one token per user and the
// kubeconfig files. Keys and tokens from an earlier start are kept, because
// objects in etcd depend on them.
func (c Config) Credentials() error {
	if err := os.MkdirAll(c.Lab.Path("kubeconfig"), 0o755); err != nil {
		return fmt.Errorf("making credentials: %w", err)
	}
	if err := c.serviceAccountKey(); err != nil {
		return fmt.Errorf("making the service account key: %w", err)
	}
	tokens, err := c.tokens()
	if err != nil {
		return fmt.Errorf("making tokens: %w", err)
	}
	ca, err := os.ReadFile(c.Lab.CA())
	if err != nil {
		return fmt.Errorf("reading the lab's authority: %w", err)
	}
	kubeconfigs := map[string]string{}
	for _, u := range users() {
		content, err := c.Kubeconfig(ca, tokens[u.name])
		if err != nil {
			return err
		}
		kubeconfigs[c.Lab.Path("kubeconfig", u.file)] = content
	}
	return Write(kubeconfigs)
}

func (c Config) serviceAccountKey() error {
	path := c.Lab.Path("certs", "service-account.key")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, serviceAccountBits)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// tokens returns the tokens by user name; the file is the API server's
// --token-auth-file: token,user,uid,"groups".
func (c Config) tokens() (map[string]string, error) {
	path := c.Lab.Path("certs", "tokens.csv")
	tokens := map[string]string{}
	if content, err := os.ReadFile(path); err == nil {
		rows := csv.NewReader(strings.NewReader(string(content)))
		rows.FieldsPerRecord = -1
		all, err := rows.ReadAll()
		if err != nil {
			return nil, err
		}
		for _, row := range all {
			tokens[row[1]] = row[0]
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var content strings.Builder
	complete := true
	for _, u := range users() {
		if tokens[u.name] == "" {
			tokens[u.name] = rand.Text()
			complete = false
		}
		fmt.Fprintf(&content, "%s,%s,%s", tokens[u.name], u.name, u.name)
		if u.group != "" {
			fmt.Fprintf(&content, ",%q", u.group)
		}
		content.WriteByte('\n')
	}
	if complete { // written once: the API server may be reading it
		return tokens, nil
	}
	return tokens, os.WriteFile(path, []byte(content.String()), 0o600)
}
