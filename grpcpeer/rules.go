package grpcpeer

import (
	"fmt"
	"maps"
	"strings"

	"example.com/peercred/guard"
)

// Rules say which peers may call which methods. A key is
//
//   - "/package.Service/Method", a full method name. Use the generated constant, so that the
//     compiler finds typing errors.
//   - "/package.Service/", for the methods of a service that have no rule of their own.
//   - "/", for all methods that have neither.
//
// Only the most exact rule decides. It can admit fewer peers than a wider rule, or other
// peers. Calls of a method without a rule are denied, and so are all calls if Rules is nil.
type Rules map[string]guard.Policy

// unlisted denies every peer. Its name says which rule is missing.
var unlisted = guard.Func("a rule for the method", nil)

// of returns the policy for a full method name.
func (r Rules) of(method string) guard.Policy {
	for _, key := range []string{method, serviceOf(method), "/"} {
		if policy, listed := r[key]; listed {
			return policy
		}
	}
	return unlisted
}

// serviceOf returns the key of the method's service. It ends with the last slash, as in
// gRPC.
func serviceOf(method string) string { return method[:strings.LastIndex(method, "/")+1] }

// checked returns a copy. It panics if a key can match no method: a wider rule would then
// decide on the method that was meant.
func (r Rules) checked() Rules {
	for key := range r {
		if key != "/" && (!strings.HasPrefix(key, "/") || len(serviceOf(key)) < len("/s/")) {
			panic(fmt.Sprintf("grpcpeer: the rule %q matches no method: it must be \"/package.Service/Method\", \"/package.Service/\" or \"/\"", key))
		}
	}
	return maps.Clone(r)
}
