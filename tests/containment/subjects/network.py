"""Organization, Identity Center, EKS, VPC and the edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]
ATTACKER = "203.0.113.77"


def network(world: World) -> Mapping[str, Any]:
    """The estate's network that the subjects lie in."""
    found: Mapping[str, Any] = next(
        one for one in world.estate["networks"] if one["account"] == SHIPPING and one["region"] == REGION
    )
    return found


def subnet(world: World) -> str:
    """A subnet with hosts in it."""
    return str(min(network(world)["subnets"].values()))


# --- network ACLs -----------------------------------------------------------------------------------


def _deny_aim(world: World) -> Aim:
    target = {"type": "subnet", "account": SHIPPING, "region": REGION, "id": subnet(world)}
    return target, {"address": ATTACKER}


def acl(world: World) -> Mapping[str, Any]:
    """The network ACL of the subnet."""
    found: Mapping[str, Any] = world.admin("ec2").describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": [subnet(world)]}]
    )["NetworkAcls"][0]
    return found


def entries(found: Mapping[str, Any]) -> list[tuple[bool, int, str, str]]:
    """The rules of a network ACL: egress, number, action, block."""
    return sorted(
        (
            one["Egress"],
            one["RuleNumber"],
            one["RuleAction"],
            one.get("CidrBlock") or one.get("Ipv6CidrBlock"),
        )
        for one in found["Entries"]
    )


def _entry(world: World, number: int, address: str, *, egress: bool) -> None:
    world.admin("ec2").create_network_acl_entry(
        NetworkAclId=acl(world)["NetworkAclId"],
        RuleNumber=number,
        Protocol="-1",
        RuleAction="deny",
        Egress=egress,
        CidrBlock=address,
    )


def _deny_already(world: World) -> None:
    for egress in (False, True):
        _entry(world, 99, f"{ATTACKER}/32", egress=egress)


def _rewrite_entry(world: World) -> None:
    world.admin("ec2").replace_network_acl_entry(
        NetworkAclId=acl(world)["NetworkAclId"],
        RuleNumber=99,
        Protocol="-1",
        RuleAction="deny",
        Egress=False,
        CidrBlock="198.51.100.0/24",
    )


def _take_the_number(world: World) -> None:
    _entry(world, 99, "198.51.100.0/24", egress=False)


def _unrelated_entry(world: World) -> None:
    _entry(world, 42, "198.51.100.0/24", egress=False)


def _isolate_aim(world: World) -> Aim:
    return {"type": "subnet", "account": SHIPPING, "region": REGION, "id": subnet(world)}, {}


def _acls(world: World) -> Any:
    """Every ACL of the VPC by its rules and its subnets, without the ids of what we make."""
    found = world.admin("ec2").describe_network_acls(
        Filters=[{"Name": "vpc-id", "Values": [network(world)["vpc"]]}]
    )["NetworkAcls"]
    return sorted(
        (sorted(link["SubnetId"] for link in one["Associations"]), entries(one), bool(one.get("Tags")))
        for one in found
    )


def _another_acl(world: World) -> str:
    made = world.admin("ec2").create_network_acl(VpcId=network(world)["vpc"])["NetworkAcl"]
    return str(made["NetworkAclId"])


def _move_subnet(world: World) -> None:
    found = acl(world)
    link = next(one for one in found["Associations"] if one["SubnetId"] == subnet(world))
    world.admin("ec2").replace_network_acl_association(
        AssociationId=link["NetworkAclAssociationId"], NetworkAclId=_another_acl(world)
    )


def _unrelated_acl(world: World) -> None:
    _another_acl(world)


# --- the organization -------------------------------------------------------------------------------


def management(world: World) -> Any:
    """Organizations as the management account's administrator."""
    return world.admin("organizations", world.estate["organization"]["management_account"])


def unit(world: World, name: str) -> str:
    """The id of an organizational unit."""
    return str(next(one["id"] for one in world.estate["organizational_units"] if one["name"] == name))


def _account(**params: Any) -> Aim:
    return {"type": "account", "account": SHIPPING, "region": REGION, "id": SHIPPING}, params


def _scps(world: World) -> Any:
    """The service control policies of the account, and all of ours, by their statements."""
    org = management(world)
    kind = "SERVICE_CONTROL_POLICY"
    on_target = org.list_policies_for_target(TargetId=SHIPPING, Filter=kind)["Policies"]
    every = org.list_policies(Filter=kind)["Policies"]
    contents = {
        one["Id"]: json.loads(org.describe_policy(PolicyId=one["Id"])["Policy"]["Content"]) for one in every
    }
    for content in contents.values():
        for statement in content["Statement"]:
            statement.pop("Sid", None)
    return (
        sorted(json.dumps(contents[one["Id"]], sort_keys=True) for one in on_target),
        sorted(json.dumps(one, sort_keys=True) for one in contents.values()),
    )


def _ours(world: World) -> str:
    found = management(world).list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
    return str(next(one["Id"] for one in found if one["Name"].startswith("quell-")))


def _remove_scp(world: World) -> None:
    ours = _ours(world)
    management(world).detach_policy(PolicyId=ours, TargetId=SHIPPING)
    management(world).delete_policy(PolicyId=ours)


def _another_scp(world: World) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"}],
    }
    org = management(world)
    made = org.create_policy(
        Name="no-instances",
        Description="theirs",
        Type="SERVICE_CONTROL_POLICY",
        Content=json.dumps(document),
    )
    org.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=SHIPPING)


def quarantine(world: World) -> str:
    """The quarantine unit that the subjects made."""
    org, root = management(world), world.estate["organization"]["root"]["id"]
    units = org.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    return str(next(one["Id"] for one in units if one["Name"] == "Quarantine"))


def _make_quarantine(world: World) -> None:
    root = world.estate["organization"]["root"]["id"]
    management(world).create_organizational_unit(ParentId=root, Name="Quarantine")


def _parent(world: World) -> str:
    return str(management(world).list_parents(ChildId=SHIPPING)["Parents"][0]["Id"])


def _where(world: World) -> Any:
    parent = _parent(world)
    return "Quarantine" if parent == quarantine(world) else parent


def _move_account(world: World, to: str) -> None:
    management(world).move_account(AccountId=SHIPPING, SourceParentId=_parent(world), DestinationParentId=to)


def _move_elsewhere(world: World) -> None:
    home, others = _parent(world), sorted(one["id"] for one in world.estate["organizational_units"])
    _move_account(world, next(one for one in others if one not in (home, quarantine(world))))


# --- flow logs --------------------------------------------------------------------------------------

LOG_BUCKET = "northgate-flow-records"


def _log_bucket(world: World) -> None:
    for name in (LOG_BUCKET, f"{LOG_BUCKET}-theirs"):
        world.admin("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def _flow_aim(world: World) -> Aim:
    target = {"type": "vpc", "account": SHIPPING, "region": REGION, "id": network(world)["vpc"]}
    return target, {"destination": f"arn:aws:s3:::{LOG_BUCKET}"}


def _flow_logs(world: World) -> Any:
    found = world.admin("ec2").describe_flow_logs()["FlowLogs"]
    return sorted(
        (one["ResourceId"], one["TrafficType"], one["LogDestination"], bool(one.get("Tags"))) for one in found
    )


def _delete_flow_log(world: World) -> None:
    ec2 = world.admin("ec2")
    ours = [one["FlowLogId"] for one in ec2.describe_flow_logs()["FlowLogs"] if one.get("Tags")]
    ec2.delete_flow_logs(FlowLogIds=ours)


def _another_flow_log(world: World) -> None:
    world.admin("ec2").create_flow_logs(
        ResourceType="VPC",
        ResourceIds=[network(world)["vpc"]],
        TrafficType="REJECT",
        LogDestinationType="s3",
        LogDestination=f"arn:aws:s3:::{LOG_BUCKET}-theirs",
    )


# --- WAF --------------------------------------------------------------------------------------------


def _make_web_acl(world: World) -> None:
    waf = world.admin("wafv2")
    made = waf.create_ip_set(
        Name="blocked", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=["198.51.100.0/24"]
    )["Summary"]
    shown = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    waf.create_web_acl(
        Name="front",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig=shown,
        Rules=[
            {
                "Name": "known-bad",
                "Priority": 0,
                "Action": {"Block": {}},
                "Statement": {"IPSetReferenceStatement": {"ARN": made["ARN"]}},
                "VisibilityConfig": shown,
            }
        ],
    )


def _ip_set(world: World) -> Mapping[str, Any]:
    waf = world.admin("wafv2")
    one = waf.list_ip_sets(Scope="REGIONAL")["IPSets"][0]
    found: Mapping[str, Any] = waf.get_ip_set(Name=one["Name"], Scope="REGIONAL", Id=one["Id"])
    return found


def _waf_aim(world: World) -> Aim:
    target = {"type": "ip_set", "account": SHIPPING, "region": REGION, "id": _ip_set(world)["IPSet"]["Id"]}
    return target, {"address": ATTACKER, "name": "blocked"}


def _put_addresses(world: World, addresses: set[str]) -> None:
    found = _ip_set(world)
    world.admin("wafv2").update_ip_set(
        Name="blocked",
        Scope="REGIONAL",
        Id=found["IPSet"]["Id"],
        Addresses=sorted(addresses),
        LockToken=found["LockToken"],
    )


def _addresses(world: World) -> set[str]:
    return set(_ip_set(world)["IPSet"]["Addresses"])


# --- DNS Firewall -----------------------------------------------------------------------------------


def _resolver(world: World) -> Any:
    return world.admin("route53resolver")


def _domain_aim(world: World) -> Aim:
    target = {"type": "vpc", "account": SHIPPING, "region": REGION, "id": network(world)["vpc"]}
    return target, {"domains": ["evil.example", "drop.evil.example"]}


def _dns_firewall(world: World) -> Any:
    """What the VPC is refused by: for each association its rules with their domains, and all objects."""
    resolver = _resolver(world)
    lists = resolver.list_firewall_domain_lists()["FirewallDomainLists"]
    domains = {
        one["Id"]: sorted(resolver.list_firewall_domains(FirewallDomainListId=one["Id"])["Domains"])
        for one in lists
    }
    groups = {
        one["Id"]: sorted(
            (rule["Priority"], rule["Action"], domains[rule["FirewallDomainListId"]])
            for rule in resolver.list_firewall_rules(FirewallRuleGroupId=one["Id"])["FirewallRules"]
        )
        for one in resolver.list_firewall_rule_groups()["FirewallRuleGroups"]
    }
    found = resolver.list_firewall_rule_group_associations()["FirewallRuleGroupAssociations"]
    return (
        sorted((one["VpcId"], one["Priority"], groups[one["FirewallRuleGroupId"]]) for one in found),
        sorted(groups.values()),
        sorted(domains.values()),
    )


def _only_alert(world: World) -> None:
    resolver = _resolver(world)
    for group in resolver.list_firewall_rule_groups()["FirewallRuleGroups"]:
        for rule in resolver.list_firewall_rules(FirewallRuleGroupId=group["Id"])["FirewallRules"]:
            resolver.update_firewall_rule(
                FirewallRuleGroupId=group["Id"],
                FirewallDomainListId=rule["FirewallDomainListId"],
                Action="ALERT",
            )


def _their_rule_group(world: World) -> None:
    resolver = _resolver(world)
    group = resolver.create_firewall_rule_group(CreatorRequestId="theirs", Name="theirs")
    resolver.associate_firewall_rule_group(
        CreatorRequestId="theirs",
        FirewallRuleGroupId=group["FirewallRuleGroup"]["Id"],
        VpcId=network(world)["vpc"],
        Priority=101,
        Name="theirs",
    )


def _their_domain_list(world: World) -> None:
    _resolver(world).create_firewall_domain_list(CreatorRequestId="theirs", Name="theirs")


# --- Network Firewall -------------------------------------------------------------------------------


def _firewall(world: World) -> Any:
    return world.admin("network-firewall")


def _stateful_rule(address: str, sid: str, action: str = "DROP") -> dict[str, Any]:
    return {
        "Action": action,
        "Header": {
            "Protocol": "IP",
            "Source": address,
            "SourcePort": "ANY",
            "Direction": "ANY",
            "Destination": "ANY",
            "DestinationPort": "ANY",
        },
        "RuleOptions": [{"Keyword": "sid", "Settings": [sid]}],
    }


def _make_rule_group(world: World) -> None:
    firewall = _firewall(world)
    made = firewall.create_rule_group(
        RuleGroupName="blocked",
        Type="STATEFUL",
        Capacity=10,
        RuleGroup={
            "RuleVariables": {"IPSets": {"HOME": {"Definition": ["10.0.0.0/8"]}}},
            "RulesSource": {"StatefulRules": [_stateful_rule("198.51.100.0/24", "7")]},
        },
    )
    references = [{"ResourceArn": made["RuleGroupResponse"]["RuleGroupArn"]}]
    firewall.create_firewall_policy(
        FirewallPolicyName="front",
        FirewallPolicy={
            "StatelessDefaultActions": ["aws:forward_to_sfe"],
            "StatelessFragmentDefaultActions": ["aws:forward_to_sfe"],
            "StatefulRuleGroupReferences": references,
        },
    )


def _firewall_aim(_: World) -> Aim:
    target = {
        "type": "firewall_rule_group",
        "account": SHIPPING,
        "region": REGION,
        "id": "stateful/blocked",
    }
    return target, {"address": ATTACKER}


def rule_group(world: World) -> dict[str, Any]:
    """The rule group with its token."""
    found: dict[str, Any] = _firewall(world).describe_rule_group(RuleGroupName="blocked", Type="STATEFUL")
    return found


def _rule_group_look(world: World) -> Any:
    """The whole group: rules by what they do, without the number that ours gets."""
    group = rule_group(world)["RuleGroup"]
    rules = group["RulesSource"].pop("StatefulRules")
    return group, sorted((one["Action"], one["Header"]["Source"]) for one in rules)


def _put_rules(world: World, rules: list[dict[str, Any]]) -> None:
    found = rule_group(world)
    found["RuleGroup"]["RulesSource"]["StatefulRules"] = rules
    _firewall(world).update_rule_group(
        RuleGroupName="blocked",
        Type="STATEFUL",
        RuleGroup=found["RuleGroup"],
        UpdateToken=found["UpdateToken"],
    )


def _stateful(world: World) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = rule_group(world)["RuleGroup"]["RulesSource"]["StatefulRules"]
    return rules


def _drop_ours(world: World) -> None:
    _put_rules(world, [one for one in _stateful(world) if ATTACKER not in one["Header"]["Source"]])


# --- Identity Center --------------------------------------------------------------------------------


def _identity(world: World, service: str) -> Any:
    """A client where the organization keeps Identity Center."""
    account = world.estate["organization"]["management_account"]
    regions = next(one["regions"] for one in world.estate["accounts"] if one["id"] == account)
    return world.admin(service, account, regions[0] if regions else "us-east-1")


def _instance(world: World) -> tuple[str, str]:
    found = _identity(world, "sso-admin").list_instances()["Instances"][0]
    return found["InstanceArn"], found["IdentityStoreId"]


def _make_person(world: World) -> None:
    sso, store = _identity(world, "sso-admin"), _identity(world, "identitystore")
    instance, where = _instance(world)
    for name in ("mallory", "alice"):
        store.create_user(
            IdentityStoreId=where,
            UserName=name,
            DisplayName=name,
            Name={"GivenName": name, "FamilyName": "Example"},
        )
    sets = {
        name: sso.create_permission_set(Name=name, InstanceArn=instance)["PermissionSet"]["PermissionSetArn"]
        for name in ("Admin", "ReadOnly")
    }
    for account, name in ((SHIPPING, "Admin"), (SHIPPING, "ReadOnly")):
        _assign(world, sets[name], account, _user(world, "mallory"))
    _assign(world, sets["ReadOnly"], SHIPPING, _user(world, "alice"))
    for name in ("operators", "auditors"):
        group = store.create_group(IdentityStoreId=where, DisplayName=name)["GroupId"]
        if name == "operators":
            _join(world, group, _user(world, "mallory"))


def _user(world: World, name: str) -> str:
    store, (_, where) = _identity(world, "identitystore"), _instance(world)
    users = store.list_users(IdentityStoreId=where)["Users"]
    return str(next(one["UserId"] for one in users if one["UserName"] == name))


def _assign(world: World, permissions: str, account: str, user: str) -> None:
    _identity(world, "sso-admin").create_account_assignment(
        InstanceArn=_instance(world)[0],
        TargetId=account,
        TargetType="AWS_ACCOUNT",
        PermissionSetArn=permissions,
        PrincipalType="USER",
        PrincipalId=user,
    )


def _join(world: World, group: str, user: str) -> None:
    _identity(world, "identitystore").create_group_membership(
        IdentityStoreId=_instance(world)[1], GroupId=group, MemberId={"UserId": user}
    )


def _groups(world: World) -> dict[str, str]:
    store, (_, where) = _identity(world, "identitystore"), _instance(world)
    return {one["DisplayName"]: one["GroupId"] for one in store.list_groups(IdentityStoreId=where)["Groups"]}


def _people(world: World) -> Any:
    """Each assignment and each membership, by names that do not change from run to run."""
    sso, store = _identity(world, "sso-admin"), _identity(world, "identitystore")
    instance, where = _instance(world)
    users = {name: _user(world, name) for name in ("mallory", "alice")}
    names = {user: name for name, user in users.items()}
    sets = sso.list_permission_sets(InstanceArn=instance)["PermissionSets"]
    assigned = [
        (names[one["PrincipalId"]], one["AccountId"], one["PermissionSetArn"])
        for arn in sets
        for one in sso.list_account_assignments(
            InstanceArn=instance, AccountId=SHIPPING, PermissionSetArn=arn
        )["AccountAssignments"]
    ]
    members = [
        (group, names[one["MemberId"]["UserId"]])
        for group, group_id in _groups(world).items()
        for one in store.list_group_memberships(IdentityStoreId=where, GroupId=group_id)["GroupMemberships"]
    ]
    return sorted((who, account) for who, account, _ in assigned), sorted(members)


def _person_aim(world: World) -> Aim:
    return {"type": "identity_user", "account": SHIPPING, "region": "", "id": _user(world, "mallory")}, {}


def _join_auditors(world: World) -> None:
    _join(world, _groups(world)["auditors"], _user(world, "mallory"))


def _put_back(world: World) -> None:
    instance = _instance(world)[0]
    for arn in _identity(world, "sso-admin").list_permission_sets(InstanceArn=instance)["PermissionSets"]:
        _assign(world, arn, SHIPPING, _user(world, "mallory"))
    _join(world, _groups(world)["operators"], _user(world, "mallory"))


def _alice_joins(world: World) -> None:
    _join(world, _groups(world)["auditors"], _user(world, "alice"))


# --- EKS --------------------------------------------------------------------------------------------

INTRUDER = f"arn:aws:iam::{SHIPPING}:role/tracking-api"
POLICIES = "arn:aws:eks::aws:cluster-access-policy"


def _make_cluster(world: World) -> None:
    eks = world.admin("eks")
    eks.create_cluster(
        name="freight",
        roleArn=f"arn:aws:iam::{SHIPPING}:role/tracking-api",
        resourcesVpcConfig={"subnetIds": sorted(network(world)["subnets"].values())[:2]},
    )
    for principal in (INTRUDER, f"arn:aws:iam::{SHIPPING}:role/others"):
        eks.create_access_entry(
            clusterName="freight", principalArn=principal, kubernetesGroups=["ops"], tags={"team": "freight"}
        )
    _give(world, "AmazonEKSClusterAdminPolicy", {"type": "cluster"})
    _give(world, "AmazonEKSEditPolicy", {"type": "namespace", "namespaces": ["web", "api"]})


def _give(world: World, name: str, scope: Mapping[str, Any], principal: str = INTRUDER) -> None:
    world.admin("eks").associate_access_policy(
        clusterName="freight",
        principalArn=principal,
        policyArn=f"{POLICIES}/{name}",
        accessScope=scope,
    )


def _entries(world: World) -> Any:
    """Each access entry with its groups, tags and policies, without times."""
    eks, found = world.admin("eks"), {}
    for principal in eks.list_access_entries(clusterName="freight")["accessEntries"]:
        entry = eks.describe_access_entry(clusterName="freight", principalArn=principal)["accessEntry"]
        policies = eks.list_associated_access_policies(clusterName="freight", principalArn=principal)
        found[principal] = (
            [entry[name] for name in ("kubernetesGroups", "username", "type", "tags")],
            sorted(
                (one["policyArn"], one["accessScope"]["type"], sorted(one["accessScope"]["namespaces"]))
                for one in policies["associatedAccessPolicies"]
            ),
        )
    return found


def _eks_aim(_: World) -> Aim:
    target = {"type": "eks_cluster", "account": SHIPPING, "region": REGION, "id": "freight"}
    return target, {"principal_arn": INTRUDER}


def _entry_again(world: World) -> None:
    world.admin("eks").create_access_entry(
        clusterName="freight", principalArn=INTRUDER, kubernetesGroups=["intruders"]
    )


SUBJECTS: dict[str, Subject] = {
    "vpc.deny-address": Subject(
        aim=_deny_aim,
        look=lambda world: entries(acl(world)),
        disturb=_rewrite_entry,
        drift=_take_the_number,
        unrelated=_unrelated_entry,
        already=_deny_already,
    ),
    "vpc.isolate-subnet": Subject(
        aim=_isolate_aim,
        look=_acls,
        disturb=_move_subnet,
        drift=_move_subnet,
        unrelated=_unrelated_acl,
    ),
    "organizations.deny-technique": Subject(
        aim=lambda _: _account(techniques=["ransomware", "org-escape"]),
        look=_scps,
        disturb=_remove_scp,
        unrelated=_another_scp,
        two_valued=True,
        meets_itself=False,
    ),
    "organizations.quarantine-account": Subject(
        arrange=_make_quarantine,
        aim=lambda world: _account(ou_id=quarantine(world)),
        look=_where,
        disturb=_move_elsewhere,
        drift=_move_elsewhere,
        already=lambda world: _move_account(world, quarantine(world)),
    ),
    "logs.start-flow-logs": Subject(
        arrange=_log_bucket,
        aim=_flow_aim,
        look=_flow_logs,
        disturb=_delete_flow_log,
        drift=_another_flow_log,
        unrelated=_another_flow_log,
        two_valued=True,
        meets_itself=True,
        nothing_left="records all flows",
    ),
    "waf.block-address": Subject(
        arrange=_make_web_acl,
        aim=_waf_aim,
        look=lambda world: sorted(_addresses(world)),
        disturb=lambda world: _put_addresses(world, _addresses(world) - {f"{ATTACKER}/32"}),
        unrelated=lambda world: _put_addresses(world, _addresses(world) | {"192.0.2.0/24"}),
        already=lambda world: _put_addresses(world, _addresses(world) | {f"{ATTACKER}/32"}),
        two_valued=True,
    ),
    "dns-firewall.block-domain": Subject(
        aim=_domain_aim,
        look=_dns_firewall,
        disturb=_only_alert,
        drift=_their_rule_group,
        unrelated=_their_domain_list,
        meets_itself=False,
        where="stub",
        why="moto has no DNS Firewall; simulator.additions.route53resolver_firewall answers, validated by"
        " boto3 against botocore's model",
    ),
    "network-firewall.block-address": Subject(
        arrange=_make_rule_group,
        aim=_firewall_aim,
        look=_rule_group_look,
        disturb=_drop_ours,
        unrelated=lambda world: _put_rules(world, [*_stateful(world), _stateful_rule("192.0.2.0/24", "8")]),
        already=lambda world: _put_rules(world, [*_stateful(world), _stateful_rule(f"{ATTACKER}/32", "9")]),
        two_valued=True,
        where="stub",
        why="moto has no rule groups; simulator.additions.network_firewall answers, validated by boto3"
        " against botocore's model",
    ),
    "identity-center.remove-assignments": Subject(
        arrange=_make_person,
        aim=_person_aim,
        look=_people,
        disturb=_put_back,
        drift=_join_auditors,
        unrelated=_alice_joins,
        two_valued=True,
        nothing_left="is in no group",
    ),
    "eks.revoke-access": Subject(
        arrange=_make_cluster,
        aim=_eks_aim,
        look=_entries,
        disturb=_entry_again,
        drift=lambda world: _give(world, "AmazonEKSViewPolicy", {"type": "cluster"}),
        unrelated=lambda world: _give(
            world, "AmazonEKSViewPolicy", {"type": "cluster"}, f"arn:aws:iam::{SHIPPING}:role/others"
        ),
        nothing_left="has no access entry",
        where="stub",
        why="moto has no access entries; simulator.additions.eks_access_entries answers, validated by boto3"
        " against botocore's model",
    ),
}
