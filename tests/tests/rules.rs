//! The rules that keep tenants apart, S1 to S25: for each the attack that it closes, performed.
//!
//! Rules that Envoy is part of are attacked through the real Envoy, here and in the test files named below; what is dense in logic is
//! attacked again beside the code. `table.rs` compares this table with the sources, so that no rule loses its tests unnoticed.
//!
//! | rule | the attack | tests here | tests elsewhere |
//! |---|---|---|---|
//! | S1 | a contract's path that is another tenant's route; an ext-authz that could move a request between routes | `s1_a_contracts_path_that_is_another_tenants_address_stays_at_its_own_upstream`, `s1_ext_authz_moves_nothing_between_the_users_own_routes_even_where_envoy_would_let_it` | `ext-authz/src/decide/tests.rs`, `ext-authz/src/reply/tests.rs`, `tests/tests/shipped.rs`, `tests/tests/shipped_chain.rs` |
//! | S2 | plaintext where others reach it; a client without a listed certificate; the admin door without its token | `s2_a_service_does_not_start_in_plaintext_where_others_reach_it`, `s2_with_mutual_tls_envoy_is_let_in_by_its_listed_name_alone` | `doors/src/address.rs`, `doors/tests/doors/admin.rs`, `doors/tests/doors/mutual_tls.rs`, `doors/tests/doors/plaintext.rs`, `doors/tests/doors/unix_socket.rs`, `tests/tests/compose.rs` |
//! | S3 | upstreams on this machine, in any spelling and through any name, of two addresses too; another tenant's upstream | `s3_a_contract_may_not_name_this_machine_nor_another_tenants_upstream`, `s3_envoys_guard_stops_every_address_of_this_machine`, `s3_not_even_the_operators_own_mapping_leads_past_the_guard` | `ext-authz/src/resolve/tests.rs`, `doors/tests/doors/health.rs`, `tenancy/src/address.rs`, `tenancy/src/catalog/claim/tests.rs`, `tenancy/src/catalog/tests/conflict.rs`, `tenancy/src/catalog/tests/partition.rs`, `tenancy/src/host/tests.rs`, `tenancy/src/upstream/tests.rs`, `tenancy/tests/parser.rs`, `tests/tests/shipped.rs`, `tests/tests/shipped_chain.rs` |
//! | S4 | thousands of requests in flight at a hung upstream; 2,016 distinct upstream hosts; bodies that strangers never end | `s4_bodies_that_strangers_never_end_fill_no_memory_that_tenants_need`, `s4_one_tenants_hung_upstream_with_thousands_of_requests_in_flight_costs_nobody_else_anything`, `s4_two_thousand_distinct_upstreams_leave_room_for_the_next_one` | `tenancy/src/catalog/tests/partition.rs`, `ext-authz/src/resolve/tests.rs`, `tests/tests/shipped.rs` |
//! | S5 | a flood of wrong credentials from one source, and from many at one name; floods of first sights, tokens and keys | `s5_a_source_that_floods_with_wrong_credentials_is_429_and_no_other_source_is`, `s5_behind_a_balancer_the_proxy_protocol_tells_sources_apart`, `s5_strangers_share_one_small_bucket_and_drown_no_tenant`, `s5_the_source_is_the_peer_even_where_envoy_trusts_the_hop_before_it`, `s5_valid_credentials_are_never_refused_at_a_name_that_many_sources_flood` | `content/tests/effort.rs`, `ext-authz/src/guardrails/content/tests.rs`, `ext-authz/src/offload/held.rs`, `ext-authz/src/process/service/tests.rs`, `ext-authz/src/shares.rs`, `ext-authz/src/tenant/failures.rs`, `ext-authz/src/tenant/keys/http/tests.rs`, `ext-authz/src/tenant/keys/keyring/tests.rs`, `ext-authz/src/tenant/tests/caching.rs`, `ext-authz/src/tenant/tests/flood.rs` |
//! | S6 | paths of two meanings, with Envoy's normalisation switched off | `s6_what_envoy_folds_is_judged_as_it_was_folded`, `s6_with_envoys_normalisation_switched_off_no_path_of_two_meanings_passes` | `ext-authz/src/attributes/tests.rs`, `ext-authz/src/route/forward/tests.rs`, `ext-authz/src/route/path/tests.rs`, `tenancy/src/upstream/tests.rs`, `tests/tests/shipped.rs` |
//! | S7 | a filter that writes metadata between ext_authz and its readers | - | `tests/tests/shipped.rs` |
//! | S8 | a client's identity headers in every spelling, and in trailers, with nothing stripped before | `s8_a_clients_identity_headers_are_overwritten_or_removed_in_every_spelling`, `s8_what_is_set_for_an_upstream_alone_does_not_come_back_from_it` | `ext-authz/src/reply/tests.rs`, `tests/tests/shipped.rs`, `tests/tests/shipped_chain.rs` |
//! | S9 | metadata and descriptors that name nobody, or not all; a dead service | `s9_a_killed_ext_authz_is_503_on_the_users_own_routes_too`, `s9_a_killed_ratelimit_is_503_for_everybody_and_no_way_around_a_limit`, `s9_whatever_ext_authz_leaves_out_somebody_pays` | `ext-authz/src/limits/tests.rs`, `ext-authz/src/service/deadline.rs`, `ratelimit/tests/service/descriptors.rs`, `ratelimit/tests/service/outage.rs`, `tests/tests/shipped.rs`, `tests/tests/shipped_chain.rs` |
//! | S10 | broken files of tenants and of the operator, while the operator's word changes; deletions | `s10_a_deletion_applies_at_once`, `s10_the_last_good_contract_is_judged_by_the_operators_newest_word`, `s10_what_the_operator_breaks_keeps_its_last_good_version_loudly` | `tenancy/src/catalog/tests/last_good.rs`, `tenancy/tests/directory/configmap.rs`, `tenancy/tests/directory/following.rs`, `tenancy/tests/loader.rs` |
//! | S11 | a folder that cannot be written, a disk that is full or hangs, a flood of denials, links in our place | `s11_audit_full_answers_with_a_record_of_both_services_or_not_at_all_and_for_its_tenant_alone`, `s11_a_path_in_which_something_is_found_stands_in_no_record` | `audit/src/audit/tests.rs`, `audit/src/file/tests.rs`, `audit/src/merge.rs`, `audit/src/queue.rs`, `doors/src/logs/tests.rs`, `ext-authz/src/explain/recent.rs`, `ext-authz/src/record/tests.rs`, `tests/tests/one_hop/outages.rs` |
//! | S12 | wrong types and huge costs in the store; a tenant that fills the queue | `s12_a_value_of_the_wrong_type_fails_the_decisions_of_its_own_tenant_only` | `doors/src/grpc/inline.rs`, `ratelimit/src/key.rs`, `ratelimit/src/store/batching/tests.rs`, `ratelimit/tests/service/descriptors.rs`, `ratelimit/tests/service/outage.rs`, `ratelimit/tests/store/behaviour.rs`, `ratelimit/tests/store/faults.rs` |
//! | S13 | credentials that travel on to an upstream; a route of another namespace that names a tenant | `s13_credentials_stop_at_the_gateway_unless_the_api_forwards_them` | `ext-authz/src/attributes/tests.rs`, `ext-authz/src/decide/tests.rs`, `ext-authz/src/reply/tests.rs` |
//! | S14 | a policy that reads bodies, where nobody shows them; every way a body can take past ext_proc; ext_proc killed, asked without metadata, asked about another policy | `s14_a_body_is_rewritten_however_it_arrives`, `s14_a_policy_that_reads_bodies_denies_while_nobody_is_declared_to_show_them`, `s14_a_route_that_shows_no_bodies_denies_where_a_policy_reads_them`, `s14_an_answer_is_rewritten_and_its_head_fits_it`, `s14_an_error_of_an_upstream_that_was_shown_no_body_by_us_is_not_taken_for_envoys_own`, `s14_an_ext_authz_that_is_killed_lets_no_answer_through_unread`, `s14_bytes_that_envoy_replaced_are_read_by_ext_proc_or_not_let_through`, `s14_ext_proc_without_metadata_of_ours_denies`, `s14_of_two_policies_the_stricter_holds` | `ext-authz/src/attributes/tests.rs`, `ext-authz/src/guardrails/content/tests.rs`, `ext-authz/src/guardrails/tests.rs`, `ext-authz/src/process/exchange/tests.rs`, `tests/tests/shipped.rs` |
//! | S15 | a shipped Envoy file whose order or names differ from the contract's | - | `tests/tests/shipped.rs` |
//! | S16 | FIFOs, devices, links to other partitions, alias bombs, a terabyte, an operator's kinds in a partition | `s16_a_hostile_partition_closes_its_own_tenant_and_shows_nothing_of_anothers`, `s16_a_partition_that_turns_hostile_keeps_its_last_good_policy_and_stops_nobodys_changes` | `audit/src/folder.rs`, `tenancy/src/catalog/tests/partition.rs`, `tenancy/src/decode/tests.rs`, `tenancy/src/judge/tests/errors.rs`, `tenancy/src/loader/journal/tests.rs`, `tenancy/src/tool/schema/tests.rs`, `tenancy/src/yaml/tests.rs`, `tenancy/tests/directory/hostile.rs`, `tenancy/tests/errors.rs`, `tenancy/tests/loader.rs` |
//! | S17 | a newcomer that claims an incumbent's issuer and upstream; a guarantee past the total | `s17_a_guarantee_past_the_total_refuses_that_newcomer_alone`, `s17_a_newcomer_that_claims_what_an_incumbent_holds_gets_none_of_it` | `tenancy/src/catalog/claim/tests.rs`, `tenancy/src/catalog/guarantee/tests.rs`, `tenancy/src/catalog/tests/conflict.rs` |
//! | S18 | providers that hang, answer without end, redirect, or point at banned addresses | `s18_a_discovery_document_leads_to_no_address_that_the_operator_did_not_write`, `s18_a_hung_and_a_huge_provider_of_one_tenant_keep_nobody_elses_first_token_waiting`, `s18_keys_are_there_before_the_first_request_and_readiness_waits_for_no_provider` | `ext-authz/src/tenant/keys/ahead/tests.rs`, `ext-authz/src/tenant/keys/document.rs`, `ext-authz/src/tenant/keys/http/tests.rs`, `ext-authz/src/tenant/keys/keyring/tests.rs`, `ext-authz/src/tenant/tests/attacks.rs`, `ext-authz/src/tenant/tests/flood.rs`, `tenancy/tests/resources.rs` |
//! | S19 | forged, confused, doubled and foreign credentials | - | `ext-authz/src/guardrails/tests.rs`, `ext-authz/src/json.rs`, `ext-authz/src/tenant/claims/tests.rs`, `ext-authz/src/tenant/keys/document.rs`, `ext-authz/src/tenant/keys/jwk/tests.rs`, `ext-authz/src/tenant/keys/keyring/tests.rs`, `ext-authz/src/tenant/presented.rs`, `ext-authz/src/tenant/tests/agreement.rs`, `ext-authz/src/tenant/tests/attacks.rs`, `ext-authz/src/tenant/tests/rfc8725.rs`, `ext-authz/src/tenant/token/tests.rs` |
//! | S20 | host, path and context that name different tenants or APIs; hosts that are none | `s20_context_extensions_and_path_must_name_the_same_tenant_and_api`, `s20_host_and_path_must_name_the_same_tenant_and_api` | `ext-authz/src/route/address/tests.rs`, `tenancy/src/host/tests.rs` |
//! | S21 | overlapping wildcards; names that could be taken for something else | `s21_a_wildcard_that_overlaps_an_incumbents_host_takes_nothing_from_it`, `s21_names_that_could_be_taken_for_something_else_are_refused` | `tenancy/src/catalog/claim/tests.rs`, `tenancy/src/catalog/tests/conflict.rs`, `tenancy/src/host/tests.rs`, `tenancy/tests/parser.rs` |
//! | S22 | a stranger who asks which tenants exist and how they stand; a caller who reads the others' load | `s22_a_stranger_cannot_tell_a_served_tenant_from_a_suspended_one_a_broken_one_or_nobody`, `s22_that_keys_are_unavailable_is_told_at_the_tenants_own_address_only`, `s22_the_global_level_shows_no_numbers`, `s22_a_decision_is_explained_through_the_admin_door_to_its_own_tenant_alone` | `ext-authz/src/decide/tests.rs`, `ext-authz/src/explain/routes.rs`, `ext-authz/src/reply/tests.rs`, `ext-authz/src/tenant/tests/agreement.rs`, `ratelimit/tests/service/answers.rs` |
//! | S23 | a tenant made anew under an old name; a remembered token after its tenant's status, subscription or issuer changed | `s23_a_remembered_token_outlives_neither_status_nor_subscription_nor_issuer`, `s23_a_tenant_made_anew_inherits_nothing_of_what_its_predecessor_used_up` | `ext-authz/src/tenant/keys/keyring/tests.rs`, `ext-authz/src/tenant/tests/caching.rs`, `tenancy/src/catalog/tests/conflict.rs`, `tenancy/src/catalog/tests/last_good.rs` |
//! | S24 | a contract that leads back to the gateway; services that die in the middle of a call | `s24_a_contract_that_leads_back_to_the_gateway_ends_with_508_at_the_first_turn`, `s24_a_limiter_that_is_killed_in_the_middle_of_a_decision_has_charged_once_at_the_most`, `s24_a_service_that_dies_of_a_call_is_not_asked_again` | `ext-authz/src/decide/tests.rs`, `ext-authz/src/reply/tests.rs`, `ratelimit/src/store/batching/tests.rs`, `ratelimit/tests/service/outage.rs`, `tests/tests/shipped.rs`, `tests/tests/shipped_chain.rs` |
//! | S25 | claims of odd bytes and lengths; a tenant without a guarantee | `s25_a_tenant_without_a_stated_guarantee_is_served_while_another_saturates_the_platform`, `s25_no_claim_makes_a_header_that_envoy_or_an_upstream_could_choke_on` | `ext-authz/src/context_token/tests.rs`, `ext-authz/src/reply/claim.rs`, `ext-authz/src/reply/tests.rs`, `ext-authz/src/route/forward/tests.rs`, `ratelimit/tests/service/descriptors.rs`, `tenancy/src/catalog/guarantee/tests.rs`, `tenancy/src/catalog/tests/conflict.rs` |

#[path = "rules/answers.rs"]
mod answers;
#[path = "rules/audit.rs"]
mod audit;
#[path = "rules/bodies.rs"]
mod bodies;
#[path = "rules/configuration.rs"]
mod configuration;
#[path = "rules/content.rs"]
mod content;
#[path = "rules/doors.rs"]
mod doors;
#[path = "rules/identity.rs"]
mod identity;
#[path = "rules/limiter.rs"]
mod limiter;
#[path = "rules/load.rs"]
mod load;
#[path = "rules/memory.rs"]
mod memory;
#[path = "rules/routing.rs"]
mod routing;
#[path = "rules/table.rs"]
mod table;

use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    world::{Builder, World},
};
use serde_json::json;

const INVOICES: &str = "/acme/billing-api/invoices";
const PRODUCTS: &str = "/globex/inventory-api/products";
const ACME: &str = "tenants/acme.yaml";
const ACME_CONTRACT: &str = "namespaces/tenant-acme/contract.yaml";
const ACME_GUARDRAILS: &str = "namespaces/tenant-acme/guardrails.yaml";
const SERVICES: [&str; 2] = ["bulkhead-ext-authz", "bulkhead-ratelimit"];
const GLOBEX_CONTRACT: &str = "namespaces/tenant-globex/contract.yaml";

/// A world whose answers depend on neither the speed of the machine nor on how many attacks come from one address.
fn world<'a>() -> Builder<'a> {
    World::builder().config(lenient)
}

/// Every test is one source, and its attacks are failures: they are not counted where S5 is not the subject.
fn lenient(config: &Config) {
    config.edit("platform.yaml", |platform| {
        platform["spec"]["authFailures"] = json!({ "perSourceMinute": 1_000_000, "perTenantMinute": 1_000_000 });
        platform["spec"]["unresolved"] = json!({ "requestsPerMinute": 1_000_000 });
    });
}

/// Sends a request until its answer is the one that is waited for.
async fn until(what: &str, world: &World, request: &Request, is: impl Fn(&Answer) -> bool) -> Answer {
    deadline::until(what, PATIENCE, || async {
        let answer = world.send(request).await;
        is(&answer).then_some(answer)
    })
    .await
}

/// Sends a request until it is answered with this status.
async fn until_status(world: &World, request: &Request, status: u16) -> Answer {
    until(&format!("{status} to {request:?}"), world, request, |answer| answer.status == status).await
}
