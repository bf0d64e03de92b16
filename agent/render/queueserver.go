package render

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The types of a queue, as inhaul.yaml has them.
const (
	queueRedis    = "redis"
	queueSQS      = "sqs"
	queueRabbitMQ = "rabbitmq"
)

const redisPort = "6379"

// redisServer is what KEDA's scaler wants to know of a Redis server. It takes no
// URL, only its parts.
type redisServer struct {
	address  string // host:port
	username string
	password string
	tls      bool
	database int
}

// readRedis takes a URL apart; a bare host:port will do too. Its errors do not
// repeat the text, which may be a secret.
func readRedis(text string) (redisServer, error) {
	want := errors.New("want redis://HOST:PORT, rediss://HOST:PORT or HOST:PORT")
	if !strings.Contains(text, "://") {
		host, port, err := net.SplitHostPort(text)
		if err != nil || host == "" || port == "" {
			return redisServer{}, want
		}
		return redisServer{address: text}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
		return redisServer{}, want
	}
	port := u.Port()
	if port == "" {
		port = redisPort
	}
	password, _ := u.User.Password()
	server := redisServer{
		address:  net.JoinHostPort(u.Hostname(), port),
		username: u.User.Username(),
		password: password,
		tls:      u.Scheme == "rediss",
	}
	if number := strings.Trim(u.Path, "/"); number != "" {
		server.database, err = strconv.Atoi(number)
		if err != nil || server.database < 0 {
			return redisServer{}, errors.New("want the number of a database after the port, as in redis://HOST:PORT/0")
		}
	}
	return server, nil
}

// redisMetadata adds what the scaler needs of a server that is no secret.
func redisMetadata(metadata map[string]any, text string) error {
	server, err := readRedis(text)
	if err != nil {
		return err
	}
	if server.password != "" {
		return errors.New("the URL has a password: keep it in secrets instead of env")
	}
	metadata["address"] = server.address
	if server.username != "" {
		metadata["username"] = server.username
	}
	if server.tls {
		metadata["enableTLS"] = "true"
	}
	if server.database > 0 {
		metadata["databaseIndex"] = strconv.Itoa(server.database)
	}
	return nil
}

// redisData are the same as parts of a Secret. KEDA cannot read the number of a
// database from there.
func redisData(text string) (map[string]string, error) {
	server, err := readRedis(text)
	if err != nil {
		return nil, err
	}
	if server.database > 0 {
		return nil, fmt.Errorf("the URL names database %d, and KEDA can look at database 0 alone when the URL is a secret", server.database)
	}
	tls := "disable"
	if server.tls {
		tls = "enable"
	}
	return map[string]string{"address": server.address, "username": server.username, "password": server.password, "tls": tls}, nil
}

// The URLs of a queue that AWS has had, compiled once; they never change.
//
// https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
var sqsURL = regexp.MustCompile(`^https://(?:sqs(?:-fips)?\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.(?:amazonaws\.com|amazonaws\.com\.cn|api\.aws)/[0-9]{12}/[A-Za-z0-9_.-]+$`)

// sqsRegion is the region of a queue, which KEDA wants beside its URL.
func sqsRegion(text string) (string, error) {
	m := sqsURL.FindStringSubmatch(text)
	if m == nil {
		return "", errors.New("want the URL of the queue, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
	}
	return m[1] + m[2], nil
}
