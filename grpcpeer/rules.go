package grpcpeer

import (
	"fmt"
	"maps"
	"strings"

	"example.com/peercred/guard"
)

// Rules say who may call which method. A key is
//
//   - "/package.Service/Method", a full method name, best as the constant that is
//     generated for it, which no typing error gets by;
//   - "/package.Service/", for the methods of a service that have no rule of their own;
//   - "/", for all that have neither.
//
// The most exact one decides, alone: it can let in fewer or others than a wider one.
// A method without any is refused to all, and so are all methods by nil Rules.
type Rules map[string]guard.Policy

// unlisted refuses, in the name of the rule that there is not.
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

// serviceOf is the key of the method's service, which ends with the last slash, as
// it does for gRPC.
func serviceOf(method string) string { return method[:strings.LastIndex(method, "/")+1] }

// checked returns a copy. It panics at a key that no method has: its method would
// be left to a wider rule, if there is one.
func (r Rules) checked() Rules {
	for key := range r {
		if key != "/" && (!strings.HasPrefix(key, "/") || len(serviceOf(key)) < len("/s/")) {
			panic(fmt.Sprintf("grpcpeer: no method has the rule %q: it must be \"/package.Service/Method\", \"/package.Service/\" or \"/\"", key))
		}
	}
	return maps.Clone(r)
}
